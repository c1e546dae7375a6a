"""What the caretaker goes by: how long nothing has moved, and when many deaths are one trouble."""

from actors.care import BREAKER_WINDOW_S, FIRST_PAUSE_S, LONGEST_PAUSE_S, Breaker, Stillness


def test_stillness_is_counted_from_the_first_look_and_anew_after_a_change():
    stillness = Stillness()
    assert [stillness.of("a", 1, now_s) for now_s in (5.0, 8.0, 9.0)] == [0.0, 3.0, 4.0]
    assert stillness.of("b", 1, 9.0) == 0.0
    assert [stillness.of("a", 2, now_s) for now_s in (10.0, 12.0)] == [0.0, 2.0]


def test_the_breaker_opens_when_three_of_a_few_die_and_a_fifth_of_many():
    few, many = Breaker(), Breaker()
    assert [few.note(f"guild/{each}", 4, 1.0) for each in range(3)] == [False, False, True]
    assert [many.note(f"guild/{each}", 100, 1.0) for each in range(20)] == [False] * 19 + [True]


def test_one_child_that_dies_again_and_again_opens_nothing():
    breaker = Breaker()
    assert not any(breaker.note("guild/1", 3, each / 10) for each in range(50))
    assert not breaker.is_open(5.0)


def test_deaths_far_apart_open_nothing():
    breaker = Breaker()
    assert not any(breaker.note(f"guild/{each}", 3, each * (BREAKER_WINDOW_S + 1)) for each in range(9))


def test_an_open_breaker_closes_by_itself_and_pauses_longer_each_time_it_opens_again_soon():
    breaker, now_s, pauses = Breaker(), 0.0, list[float]()
    for _ in range(8):
        for each in range(3):
            breaker.note(f"guild/{each}", 3, now_s)
        assert breaker.is_open(now_s)
        pauses.append(breaker.wait_s(now_s))
        now_s += pauses[-1]
        assert not breaker.is_open(now_s)
    assert pauses == [min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2**each) for each in range(8)]
    now_s += LONGEST_PAUSE_S
    for each in range(3):
        breaker.note(f"guild/{each}", 3, now_s)
    assert breaker.wait_s(now_s) == FIRST_PAUSE_S
