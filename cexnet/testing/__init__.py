"""Tests that an exchange should pass, whoever wrote it. They need no pytest, and run under it.

An exchange's tests are a subclass of ``ExchangeSuite`` with what its documents print: messages
and what they mean, answers, signatures, errors. docs/add-an-exchange.md has a whole one::

    class TestVenue(ExchangeSuite):
        exchange = EXCHANGE
        samples = (Sample(Subscription(Channel.TRADES, "BTCUSDT"), b'...', Expect("Trade", ...)),)
"""

from cexnet.testing.samples import (
    AnswerSample,
    ErrorSample,
    Expect,
    InSequence,
    Sample,
    SignatureVector,
)
from cexnet.testing.suite import ExchangeSuite

__all__ = [
    "AnswerSample",
    "ErrorSample",
    "ExchangeSuite",
    "Expect",
    "InSequence",
    "Sample",
    "SignatureVector",
]
