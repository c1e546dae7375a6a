"""Which gsns a guild's records have: against a dictionary, whatever is put again, skipped or lost."""

from hypothesis import given
from hypothesis import strategies as st

from ledger.ids import GuildId
from persistence.gsns import Gsns
from tests.persistence.making import BLUE, RED

puts = st.lists(st.tuples(st.sampled_from((RED, BLUE)), st.integers(1, 6)), max_size=30)


@given(puts)
def test_it_knows_what_a_dictionary_knows(story: list[tuple[GuildId, int]]):
    gsns, known = Gsns(), {RED: dict[int, int](), BLUE: dict[int, int]()}
    for gsn, (guild, seq) in enumerate(story, 1):
        gsns.put(guild, seq, gsn)
        known[guild] = {each: held for each, held in known[guild].items() if each < seq} | {seq: gsn}
    for guild, held in known.items():
        assert [gsns.at(guild, seq) for seq in range(8)] == [held.get(seq, 0) for seq in range(8)]
        for after in range(8):
            assert list(gsns.behind(guild, after)) == [held[seq] for seq in sorted(held) if seq > after]
    assert gsns.count() == sum(map(len, known.values()))
