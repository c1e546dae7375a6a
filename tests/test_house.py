"""The house stands alone: our module names are nobody else's in this environment."""

from importlib.metadata import packages_distributions


def test_no_other_package_brings_modules_of_our_names():
    ours = {"inviteledger", "supervisor", "actors", "persistence", "ledger", "sandbox"}
    others = {
        name: owners
        for name, owners in packages_distributions().items()
        if name in ours and set(owners) - {"inviteledger"}
    }
    assert others == {}
