"""Every code of the three tables, and the rules for what carries no code."""

from __future__ import annotations

import json
from types import ModuleType
from typing import Any

import msgspec
import pytest

from cexnet.exchanges import binance_rest, gateio_rest, mexc_rest
from cexnet.http.answers import Answer
from cexnet.http.endpoint import Call, Endpoint
from cexnet.http.faults import FaultKind, TransportFault
from cexnet.types import OrderRequest, Side
from cexnet_core import errors

READ = Call(Endpoint("r", "GET", "/r"), "/r", bytes)
ORDER = Call(
    Endpoint("o", "POST", "/o", idempotent=False),
    "/o",
    bytes,
    client_order_id="cx1",
    idempotent=False,
)

CLASSES = {
    "auth": errors.AuthenticationError,
    "clock": errors.ClockSkewError,
    "rate": errors.RateLimited,
    "invalid": errors.InvalidRequest,
    "funds": errors.InsufficientFunds,
    "not_found": errors.OrderNotFound,
    "terminal": errors.OrderFinished,
    "duplicate": errors.DuplicateOrder,
    "retry": errors.ExchangeUnavailable,
}


def answer(status: int, body: bytes | dict[str, Any], **headers: str) -> Answer:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    return Answer(status, named, data, 0, 0, 0, 0)


def refusal(module: ModuleType, call: Call[Any], given: Answer) -> errors.RequestError | None:
    found = module.rest_strategies().exceptions.refusal(call, given)
    assert found is None or isinstance(found, errors.RequestError)
    return found


# EXCHANGES' error rows for Binance spot: (class, code, message).
BINANCE = [
    *[("auth", code, "") for code in (-1002, -1022, -2014, -2015)],
    ("clock", -1021, "Timestamp for this request is outside of the recvWindow."),
    *[("rate", code, "") for code in (-1003, -1015, -1034)],
    *[("invalid", code, "") for code in (-1013, *range(-1130, -1099))],
    ("funds", -2010, "Account has insufficient balance for requested action."),
    ("duplicate", -2010, "Duplicate order sent."),
    ("not_found", -2011, "Unknown order sent."),
    *[("not_found", code, "") for code in (-2013, -2026)],
    *[("retry", code, "") for code in (-1008, -1016)],
]
MEXC_CODES = {
    "auth": "400 401 402 403 406 602 10072 140002 700001 700002 700006 700007 700013",
    "clock": "10073 700003 700005",
    "rate": "429 510",
    "invalid": "-1121 -1128 2011 10007 30002 30003 30014 30021 30026 30029 30041 30087 33333"
    " 44444 700004 700008 730001 730002",
    "funds": "2005 10101 30004 30005",
    "not_found": "-2011 22222",
    "duplicate": "603",
    "retry": "604 801 11444 20002 30000 30016",
}
GATE_CODES = {
    "auth": "INVALID_CREDENTIALS INVALID_KEY IP_FORBIDDEN READ_ONLY INVALID_SIGNATURE"
    " MISSING_REQUIRED_HEADER ACCOUNT_LOCKED FORBIDDEN",
    "clock": "REQUEST_EXPIRED",
    "rate": "TOO_MANY_REQUESTS TOO_FAST",
    "invalid": "INVALID_PARAM_VALUE INVALID_PROTOCOL INVALID_ARGUMENT INVALID_REQUEST_BODY"
    " MISSING_REQUIRED_PARAM BAD_REQUEST INVALID_CONTENT_TYPE NOT_ACCEPTABLE METHOD_NOT_ALLOWED"
    " NOT_FOUND INVALID_PRECISION INVALID_CURRENCY_PAIR AMOUNT_TOO_LITTLE AMOUNT_TOO_MUCH"
    " INVALID_CLIENT_ORDER_ID POC_FILL_IMMEDIATELY FOK_NOT_FILL",
    "funds": "BALANCE_NOT_ENOUGH MARGIN_BALANCE_NOT_ENOUGH FUTURES_BALANCE_NOT_ENOUGH"
    " INSUFFICIENT_AVAILABLE QUANTITY_NOT_ENOUGH",
    "not_found": "ORDER_NOT_FOUND",
    "terminal": "ORDER_CLOSED ORDER_CANCELLED ORDER_FINISHED",
    "duplicate": "REPEATED_CREATION ORDER_EXISTS DUPLICATE_REQUEST",
    "retry": "TOO_BUSY",
}
ROWS = [
    *[(binance_rest, kind, {"code": code, "msg": text}) for kind, code, text in BINANCE],
    *[
        (mexc_rest, kind, {"code": int(code), "msg": "text"})
        for kind, codes in MEXC_CODES.items()
        for code in codes.split()
    ],
    *[
        (gateio_rest, kind, {"label": code, "message": "text"})
        for kind, codes in GATE_CODES.items()
        for code in codes.split()
    ],
]


@pytest.mark.parametrize("module, kind, body", ROWS)
@pytest.mark.parametrize("call", [READ, ORDER], ids=["read", "order"])
def test_listed_codes(module: ModuleType, kind: str, body: dict[str, Any], call: Call[Any]) -> None:
    error = refusal(module, call, answer(400, body))
    assert type(error) is CLASSES[kind]
    assert error.outcome == "rejected"
    assert error.retryable == (kind in ("clock", "rate", "retry"))
    assert error.exchange_code == str(body.get("code", body.get("label")))
    assert error.exchange_message == body.get("msg", body.get("message"))
    assert error.endpoint == call.endpoint.label
    assert error.client_order_id == call.client_order_id
    assert error.status == 400


UNDECIDED = [
    (binance_rest, 400, {"code": -1000, "msg": ""}),
    (binance_rest, 400, {"code": -1006, "msg": ""}),
    (binance_rest, 408, {"code": -1007, "msg": "Timeout waiting for response"}),
    (binance_rest, 500, {"code": -1013, "msg": "a 5xx settles nothing"}),
    (binance_rest, 503, b"<html>down</html>"),
    (binance_rest, 502, b""),
    (mexc_rest, 504, {"code": 504, "msg": "timeout"}),
    (gateio_rest, 500, {"label": "INTERNAL", "message": ""}),
    (gateio_rest, 400, {"label": "SERVER_TIMEOUT", "message": ""}),
    (gateio_rest, 202, {"id": "1"}),
    (gateio_rest, 402, {"label": "SERVER_ERROR", "message": ""}),
    (binance_rest, 409, {"code": -2021, "msg": "Order cancel-replace partially failed."}),
]


@pytest.mark.parametrize("module, status, body", UNDECIDED)
def test_undecided_is_unknown_for_an_order_and_retryable_for_a_read(
    module: ModuleType, status: int, body: Any
) -> None:
    error = refusal(module, ORDER, answer(status, body))
    assert type(error) is errors.OutcomeUnknown
    assert (error.outcome, error.retryable, error.client_order_id) == ("unknown", False, "cx1")
    assert (error.endpoint, error.status) == (ORDER.endpoint.label, status)
    if isinstance(body, dict) and "id" not in body:
        assert error.exchange_code == str(body.get("code", body.get("label")))
        assert error.exchange_message == body.get("msg", body.get("message"))
    assert "cx1" in str(error)
    if status != 500 or module is gateio_rest:
        error = refusal(module, READ, answer(status, body))
        assert type(error) is errors.ExchangeUnavailable
        assert error.retryable


def test_codes_that_are_safe_only_off_the_order_paths() -> None:
    for module, code in ((binance_rest, -1001), (mexc_rest, 500), (mexc_rest, 503)):
        body = {"code": code, "msg": ""}
        assert type(refusal(module, ORDER, answer(400, body))) is errors.OutcomeUnknown
        assert type(refusal(module, READ, answer(400, body))) is errors.ExchangeUnavailable


def test_a_5xx_whose_row_says_not_executed_is_believed() -> None:
    given = answer(503, {"code": -1008, "msg": "Server is overloaded."})
    assert type(refusal(binance_rest, ORDER, given)) is errors.ExchangeUnavailable


@pytest.mark.parametrize(
    "status, expected",
    [
        (401, errors.AuthenticationError),
        (403, errors.RateLimited),
        (404, errors.ExchangeError),
        (418, errors.Banned),
        (429, errors.RateLimited),
        (301, errors.ExchangeError),
    ],
)
def test_statuses_without_a_code(status: int, expected: type[Exception]) -> None:
    error = refusal(binance_rest, ORDER, answer(status, b"<html>no</html>", Retry_After="7"))
    assert type(error) is expected
    assert error.retry_after_s == 7.0
    assert error.outcome == "rejected"
    assert "<html>" in str(error)


def test_unlisted_code_keeps_everything() -> None:
    error = refusal(binance_rest, ORDER, answer(400, {"code": -9999, "msg": "new rule"}))
    assert type(error) is errors.ExchangeError
    assert (error.exchange_code, error.exchange_message) == ("-9999", "new rule")
    assert not error.retryable


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"null", b'{"code":null}', b'{"code":true}', b"\xff\xfe", b'"x"']
)
def test_bodies_that_are_no_envelope_are_quoted_not_crashed_on(body: bytes) -> None:
    error = refusal(binance_rest, READ, answer(400, body))
    assert type(error) is errors.ExchangeError
    assert error.exchange_code == ""


@pytest.mark.parametrize("body", [{"code": -1102, "msg": "sign " * 10**6}, {"code": "1" * 10**6, "msg": "x"}])
def test_of_a_refusal_without_an_end_a_part_is_kept(body: dict[str, Any]) -> None:
    found = refusal(binance_rest, ORDER, answer(400, body))
    assert isinstance(found, errors.ExchangeError)
    assert found.outcome == "rejected"
    assert len(str(found)) + len(found.exchange_message) + len(found.exchange_code) < 5_000


def test_a_418_is_a_ban_whatever_its_code() -> None:
    given = answer(418, {"code": -1003, "msg": "Way too many requests"}, Retry_After="120")
    error = refusal(binance_rest, READ, given)
    assert type(error) is errors.Banned
    assert not error.retryable or error.retry_after_s == 120


def test_mexc_refuses_with_status_200() -> None:
    error = refusal(mexc_rest, ORDER, answer(200, {"code": 30004, "msg": "Insufficient balance"}))
    assert type(error) is errors.InsufficientFunds
    assert refusal(mexc_rest, ORDER, answer(200, {"code": 200, "msg": "ok"})) is None
    assert refusal(mexc_rest, ORDER, answer(200, {"symbol": "X", "orderId": "1"})) is None


def test_gateio_reset_header_gives_the_pause() -> None:
    soon = answer(
        429,
        {"label": "TOO_MANY_REQUESTS", "message": ""},
        X_Gate_RateLimit_Reset_Timestamp="99999999999",
    )
    error = refusal(gateio_rest, READ, soon)
    assert error is not None
    assert error.retry_after_s is not None
    assert error.retry_after_s > 1e9
    past = answer(429, {"label": "TOO_FAST"}, X_Gate_RateLimit_Reset_Timestamp="1")
    error = refusal(gateio_rest, READ, past)
    assert error is not None
    assert error.retry_after_s == 0


@pytest.mark.parametrize("text", ["", "soon", "-1", "nan", "inf", "1e400", "Wed, 21 Oct 2026"])
def test_a_retry_after_that_is_neither_number_nor_date_is_none(text: str) -> None:
    error = refusal(binance_rest, READ, answer(429, b"", Retry_After=text))
    assert error is not None
    assert error.retry_after_s is None


def test_a_retry_after_that_is_a_date_is_one_of_the_exchanges_clock() -> None:
    for until, wait_s in (("Wed, 16 Nov 5138 09:46:29 GMT", 7.0), ("Tue, 15 Nov 5138 09:46:29 GMT", 0.0)):
        given = answer(418, b"", Retry_After=until, Date="Wed, 16 Nov 5138 09:46:22 GMT")
        error = refusal(binance_rest, READ, given)
        assert isinstance(error, errors.Banned)
        assert error.retry_after_s == wait_s


@pytest.mark.parametrize(
    "date, most_s",
    [
        ("Wed, 16 Nov 5138 09:46:29 GMT", 10.0),  # ten seconds before the reset, by the exchange's clock
        ("Thu, 17 Nov 5138 09:46:29 GMT", 0.0),
        ("not a date", 1e11),
        ("", 1e11),
    ],
)
def test_a_reset_time_is_read_by_the_exchanges_own_clock(date: str, most_s: float) -> None:
    given = answer(
        429,
        {"label": "TOO_MANY_REQUESTS"},
        X_Gate_RateLimit_Reset_Timestamp="99999999999",
        **({"Date": date} if date else {}),
    )
    error = refusal(gateio_rest, READ, given)
    assert error is not None
    assert error.retry_after_s is not None
    assert most_s * 0.9 <= error.retry_after_s <= most_s


@pytest.mark.parametrize("kind", ["connect", "reset", "closed"])
def test_faults_before_the_first_byte(kind: FaultKind) -> None:
    handler = binance_rest.rest_strategies().exceptions
    error = handler.fault(ORDER, TransportFault(kind, "refused", sent=False))
    assert type(error) is errors.RequestNotSent
    assert (error.outcome, error.retryable) == ("not_sent", True)
    error = handler.fault(ORDER, TransportFault("tls", "bad certificate", sent=False))
    assert type(error) is errors.RequestNotSent
    assert not error.retryable
    assert (error.endpoint, error.client_order_id) == ("POST /o", "cx1")
    error = handler.fault(ORDER, TransportFault("deadline", "", sent=False))
    assert type(error) is errors.DeadlineExceeded
    assert (error.outcome, error.endpoint, error.client_order_id) == ("not_sent", "POST /o", "cx1")


@pytest.mark.parametrize("kind", ["reset", "closed", "malformed", "too_large", "deadline"])
@pytest.mark.parametrize("status", [0, 200, 408, 502])
def test_faults_after_the_first_byte_of_an_order_are_unknown(kind: FaultKind, status: int) -> None:
    handler = binance_rest.rest_strategies().exceptions
    error = handler.fault(ORDER, TransportFault(kind, "x", sent=True, status=status))
    assert type(error) is errors.OutcomeUnknown
    assert error.client_order_id == "cx1"


def test_faults_after_the_first_byte_of_a_read() -> None:
    handler = binance_rest.rest_strategies().exceptions
    error = handler.fault(READ, TransportFault("reset", "x", sent=True))
    assert type(error) is errors.ExchangeUnavailable
    assert error.retryable
    late = handler.fault(READ, TransportFault("deadline", "x", sent=True))
    assert type(late) is errors.DeadlineExceeded
    assert (late.outcome, late.endpoint) == ("unknown", "GET /r")


def test_a_refusal_whose_body_was_lost_is_still_a_refusal() -> None:
    handler = binance_rest.rest_strategies().exceptions
    error = handler.fault(ORDER, TransportFault("reset", "x", sent=True, status=429))
    assert type(error) is errors.RateLimited


@pytest.mark.parametrize("module", [binance_rest, gateio_rest, mexc_rest])
@pytest.mark.parametrize("body", [b"<html>maintenance</html>", b"", b'{"a":', b"\xff"])
def test_a_success_that_is_no_json_is_none_for_any_request(module: ModuleType, body: bytes) -> None:
    requests = module.rest_strategies().request
    order = OrderRequest("S", Side.SELL, "1", "1")
    for call in (
        requests.ping(),
        requests.server_time(),
        requests.depth("S", 5),
        requests.place_order(order),
        requests.cancel_order("S", "1", ""),
        requests.query_order("S", "1", ""),
    ):
        with pytest.raises((msgspec.MsgspecError, UnicodeDecodeError)):
            call.parse(body)


@pytest.mark.parametrize("module", [binance_rest, gateio_rest, mexc_rest])
@pytest.mark.parametrize("status", [500, 502, 503, 504, 520])
@pytest.mark.parametrize("body", [b"", b"<html>", b'{"code":', b'{"code":-9,"msg":"x"}', b'{"label":"X"}'])
def test_a_5xx_on_an_order_is_unknown_whatever_its_body(module: ModuleType, status: int, body: bytes) -> None:
    assert type(refusal(module, ORDER, answer(status, body))) is errors.OutcomeUnknown


def test_an_unreadable_success() -> None:
    handler = binance_rest.rest_strategies().exceptions
    html = answer(200, b"<html>maintenance</html>", Content_Type="text/html")
    error = handler.unreadable(ORDER, html, "invalid character")
    assert type(error) is errors.OutcomeUnknown
    assert "text/html" in str(error)
    assert type(handler.unreadable(READ, html, "invalid character")) is errors.ExchangeUnavailable
