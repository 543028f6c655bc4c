"""The exchanges whose requests cexnet can sign, and what it takes to sign one.

For those with REST tables it is the strategies of their RestManager, no others.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from cexnet.credentials import Credentials
from cexnet.exchanges import binance_rest, gateio_rest, mexc_rest, signatures
from cexnet.exchanges.hyperliquid_signature import HyperliquidSignature
from cexnet.http.intents import TableRequests
from cexnet.http.strategies import AuthStrategy, RequestStrategy
from cexnet_core.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class SigningOptions:
    """What a signature depends on beside the request, the key and the time.

    ``base_url`` replaces the exchange's own host, ``recv_window_ms`` is sent where the
    exchange takes one. ``nonce`` replaces the random one of Deribit and Coinbase, to
    reproduce a signature: never send two requests with the same.
    """

    base_url: str = ""
    recv_window_ms: int = 5000
    nonce: str = ""


@dataclass(frozen=True, slots=True)
class Signing:
    """How one exchange's requests are built and signed."""

    base_url: str
    request: RequestStrategy
    auth: AuthStrategy


def signing(name: str, credentials: Credentials, options: SigningOptions | None = None) -> Signing:
    """How the exchange ``name`` signs with ``credentials``.

    Raises ConfigurationError for an exchange that is not in ``NAMES``, and for credentials
    of a kind that it does not take.
    """
    if name not in _VENUES:
        raise ConfigurationError(f"cannot sign for {name!r}: choose one of {', '.join(NAMES)}")
    options = options or SigningOptions()
    own_url, make = _VENUES[name]
    options = replace(options, base_url=(options.base_url or own_url).rstrip("/"))
    request, auth = make(credentials, options)
    return Signing(options.base_url, request, auth)


def _nonce(options: SigningOptions) -> signatures.Nonce:
    return (lambda: options.nonce) if options.nonce else signatures.fresh_nonce


_Pair = tuple[RequestStrategy, AuthStrategy]
_Make = Callable[[Credentials, SigningOptions], _Pair]


def _binance(credentials: Credentials, options: SigningOptions) -> _Pair:
    made = binance_rest.rest_strategies(credentials=credentials, recv_window_ms=options.recv_window_ms)
    return made.request, made.auth


def _mexc(credentials: Credentials, options: SigningOptions) -> _Pair:
    made = mexc_rest.rest_strategies(credentials=credentials, recv_window_ms=options.recv_window_ms)
    return made.request, made.auth


def _gateio(credentials: Credentials, options: SigningOptions) -> _Pair:
    made = gateio_rest.rest_strategies(credentials=credentials)
    return made.request, made.auth


def _alone(auth: Callable[[Credentials, SigningOptions], AuthStrategy]) -> _Make:
    """An exchange without tables: every path is as good as another."""
    return lambda credentials, options: (TableRequests((), default_scopes=()), auth(credentials, options))


_VENUES: dict[str, tuple[str, _Make]] = {
    "binance": (binance_rest.REST_URL, _binance),
    "binance_usdm": ("https://fapi.binance.com", _binance),
    "gateio": (gateio_rest.REST_URL, _gateio),
    "mexc": (mexc_rest.REST_URL, _mexc),
    "okx": ("https://www.okx.com", _alone(lambda key, _: signatures.OkxSignature(key))),
    "bybit": (
        "https://api.bybit.com",
        _alone(lambda key, o: signatures.BybitSignature(key, recv_window_ms=o.recv_window_ms)),
    ),
    "kucoin": ("https://api.kucoin.com", _alone(lambda key, _: signatures.KucoinSignature(key))),
    "bitget": ("https://api.bitget.com", _alone(lambda key, _: signatures.BitgetSignature(key))),
    "kraken": ("https://api.kraken.com", _alone(lambda key, _: signatures.KrakenSignature(key))),
    "htx": (
        "https://api.huobi.pro",
        _alone(lambda key, o: signatures.HtxSignature(key, base_url=o.base_url)),
    ),
    "deribit": (
        "https://www.deribit.com",
        _alone(lambda key, o: signatures.DeribitSignature(key, nonce=_nonce(o))),
    ),
    "coinbase": (
        "https://api.coinbase.com",
        _alone(lambda key, o: signatures.CoinbaseSignature(key, base_url=o.base_url, nonce=_nonce(o))),
    ),
    "hyperliquid": (
        "https://api.hyperliquid.xyz",
        _alone(lambda key, o: HyperliquidSignature(key, base_url=o.base_url)),
    ),
}
NAMES = tuple(_VENUES)
