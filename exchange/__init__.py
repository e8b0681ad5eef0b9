"""The exchange's pure core: order books, matching, triggers and the ledger, in integers, without clock, randomness or I/O.

`Exchange.execute` decides what a command does and appends events; `State.evolve` alone changes durable state, so that folding the events
gives the same state. Prices are counted in ticks and quantities in lots of their market, amounts in the smallest units of their asset.
"""
