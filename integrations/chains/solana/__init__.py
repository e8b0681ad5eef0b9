"""Solana: a client over several nodes, and what is worked out without one: addresses, transactions, deposits, the fate of a signature."""
