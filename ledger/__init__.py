"""Double entry for closed money: one book a region, one order, one hash chain.

Knows no HTTP, no QR code and no Japanese law: it could keep the books of any closed currency. What the currency
adds comes in through two protocols, `Clearance` and `Recorder` (see `bookkeeper`).
"""
