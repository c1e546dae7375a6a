"""Everything that runs, owns something and can die.

Imports run one way: ``cli → gateway | ops → roster → guild → journal → runtime → settings | clock``.
"""
