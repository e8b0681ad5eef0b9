"""Proofs of control over wallets: what is given to be signed, and whether a signature under it is of an address.

`messages.py` is what is signed, `addresses.py` and `bitcoin_addresses.py` say what an address is, `proving.py` takes a signature to the rules of its
family: `evm.py` (with `contract_wallets.py`), `bitcoin.py` (with `bip322.py` and `bip137.py`), `solana.py`.
"""
