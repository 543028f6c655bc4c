"""Hyperliquid's signatures against its own SDK's answers, and what cannot be signed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cexnet.credentials import Credentials, Secret
from cexnet.exchanges.hyperliquid_signature import HyperliquidSignature
from cexnet.exchanges.signing import SigningOptions, signing
from cexnet.http.endpoint import Params
from cexnet.http.intents import build_call
from cexnet_core.errors import AuthenticationError, ConfigurationError
from tests.http.test_signatures import vector

coincurve = pytest.importorskip("coincurve")
keccak = pytest.importorskip("Crypto.Hash.keccak")

KEY = "0x0123456789012345678901234567890123456789012345678901234567890123"
HOSTS = {"a": "", "b": "https://api.hyperliquid-testnet.xyz"}


def sent(
    action: str, at_ms: int = 0, *, base_url: str = "", method: str = "POST", params: Params = ()
) -> dict[str, Any]:
    made = signing("hyperliquid", Credentials("0xwallet", Secret(KEY)), SigningOptions(base_url))
    call = build_call(
        made.request, method, "/exchange", bytes, params=params, body=action.encode(), signed=True
    )
    wire = made.auth.sign(call, at_ms * 1_000_000)
    assert (wire.target, wire.headers) == ("/exchange", {"Content-Type": "application/json"})
    whole: dict[str, Any] = json.loads(wire.body)
    return whole


@pytest.mark.parametrize("net", ["mainnet", "testnet"])
def test_an_action_is_signed_as_by_the_sdk(net: str) -> None:
    known = vector("hyperliquid", f"L1 dummy action {net}")
    body = sent(known["action_json"], known["nonce"], base_url=HOSTS[known["source_field"]])
    assert body == {
        "action": json.loads(known["action_json"]),
        "nonce": known["nonce"],
        "signature": {"r": known["r"], "s": known["s"], "v": known["v"]},
        "vaultAddress": None,
    }


def test_the_hash_of_an_order() -> None:
    known = vector("hyperliquid", "action hash of an order")
    auth = HyperliquidSignature(Credentials("0xwallet", Secret(KEY)), base_url="https://api.hyperliquid.xyz")
    made = auth.action_hash(json.loads(known["action_json"]), known["nonce"])
    assert "0x" + made.hex() == known["expected"]


def test_a_vault_is_part_of_what_is_signed() -> None:
    vault = "0x" + "11" * 20
    credentials = Credentials("0xwallet", Secret(KEY))
    for_itself = HyperliquidSignature(credentials, base_url="https://h")
    for_vault = HyperliquidSignature(credentials, base_url="https://h", vault_address=vault)
    action = {"type": "dummy"}
    # keccak(msgpack(action) + nonce + 01 + address), written out.
    plain = b"\x81\xa4type\xa5dummy" + (7).to_bytes(8) + b"\x01" + bytes.fromhex(vault[2:])
    assert for_vault.action_hash(action, 7) == keccak.new(digest_bits=256, data=plain).digest()
    assert for_vault.action_hash(action, 7) != for_itself.action_hash(action, 7)


def test_nonces_only_rise() -> None:
    made = signing("hyperliquid", Credentials("0xwallet", Secret(KEY)))
    call = build_call(made.request, "POST", "/exchange", bytes, body=b"{}", signed=True)
    bodies = [json.loads(made.auth.sign(call, at_ms * 1_000_000).body) for at_ms in (5, 5, 3, 9)]
    assert [body["nonce"] for body in bodies] == [5, 6, 7, 9]


@pytest.mark.parametrize(
    "action, method, params",
    [
        ("[1]", "POST", ()),
        ("", "POST", ()),
        ("{}", "GET", ()),
        ("{}", "POST", {"a": 1}),
        ('{"a":18446744073709551616}', "POST", ()),
        ('{"type":"usdSend","signatureChainId":"0x66eee","amount":"1"}', "POST", ()),
    ],
)
def test_what_is_no_action_is_refused(action: str, method: str, params: Params) -> None:
    with pytest.raises(ConfigurationError, match="Hyperliquid signs"):
        sent(action, method=method, params=params)


@pytest.mark.parametrize("secret", ["0x12", "not hex", "0x" + "00" * 32, "ff" * 32])
def test_a_key_of_another_form_is_refused_and_not_quoted(secret: str) -> None:
    with pytest.raises(ConfigurationError, match="32 bytes in hexadecimal") as caught:
        signing("hyperliquid", Credentials("0xwallet", Secret(secret)))
    assert secret not in str(caught.value)


def test_a_vault_address_of_another_form_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="40 hexadecimal digits"):
        HyperliquidSignature(None, base_url="https://h", vault_address="0x12")


def test_without_credentials_nothing_is_signed() -> None:
    auth = HyperliquidSignature(None, base_url="https://h")
    requests = signing("hyperliquid", Credentials("0xwallet", Secret(KEY))).request
    call = build_call(requests, "POST", "/exchange", bytes, signed=True)
    with pytest.raises(AuthenticationError):
        auth.sign(call, 0)
