"""Commands about the configuration and about signatures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from cexnet.cli.commands.options import AsJson
from cexnet.cli.config import init_config, show_config
from cexnet.cli.sign import SignOptions, print_signed


def sign(
    *,
    exchange: str,
    method: str,
    path: str,
    param: Annotated[list[str] | None, Parameter(negative="", allow_leading_hyphen=True)] = None,
    body: Annotated[str, Parameter(allow_leading_hyphen=True)] = "",
    timestamp_ms: int | None = None,
    recv_window_ms: int = 5000,
    nonce: str = "",
    base_url: str = "",
    json: AsJson = False,
) -> None:
    """Print the signed request that would be sent: URL, headers and body. Sends nothing.

    Key and secret come from the environment: CEXNET_API_KEY and CEXNET_API_SECRET, with
    CEXNET_PASSPHRASE (okx, kucoin, bitget) and CEXNET_KEY_PASSWORD (an encrypted PEM key);
    or one exchange's own, CEXNET_BINANCE_API_KEY and so on, which go first. NAME_FILE in
    place of NAME names a file that holds the value.

    Parameters
    ----------
    exchange
        binance, binance_usdm, gateio, mexc, okx, bybit, kucoin, bitget, kraken, htx,
        deribit, coinbase or hyperliquid.
    method
        GET, POST, PUT or DELETE.
    path
        The whole path, from its first slash and without a query: /api/v3/order.
    param
        NAME=VALUE, again for each parameter, in the order in which to send them. They make
        up the query; at Kraken, the body.
    body
        The body, byte for byte.
    timestamp_ms
        Sign at this Unix time in milliseconds; by default now.
    recv_window_ms
        How late the request may arrive (binance, mexc, bybit).
    nonce
        Instead of a random one, to reproduce a signature (deribit, coinbase).
    base_url
        Scheme and host, instead of the exchange's own.
    """
    print_signed(
        SignOptions(
            exchange=exchange,
            method=method,
            path=path,
            params=tuple(param or ()),
            body=body,
            timestamp_ms=timestamp_ms,
            recv_window_ms=recv_window_ms,
            nonce=nonce,
            base_url=base_url,
            as_json=json,
        )
    )


config = App(name="config", help="Look at the configuration, or begin one.")


@config.command(name="show")
def config_show(file: Path | None = None, /, *, env: str | None = None, json: AsJson = False) -> None:
    """Print the effective configuration, secrets masked, and where each value came from.

    Parameters
    ----------
    file
        A TOML file; by default cexnet.toml, if there is one.
    env
        The file's overlay to use, as in [env.production]; by default that of CEXNET_ENV.
    """
    show_config(file, env, as_json=json)


@config.command(name="init")
def config_init(
    file: Path | None = None, /, *, force: Annotated[bool, Parameter(negative="")] = False
) -> None:
    """Write a commented example.

    Parameters
    ----------
    file
        Where to; by default cexnet.toml.
    force
        Overwrite it if it exists.
    """
    init_config(file, force=force)
