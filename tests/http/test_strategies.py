from __future__ import annotations

from dataclasses import replace

import pytest

from cexnet.exchanges import binance_rest
from cexnet.http.manager import RestManager
from cexnet.http.retry import FullJitterRetry
from cexnet.http.strategies import AuthStrategy, RetryStrategy
from cexnet_core.errors import ConfigurationError, StrategyError


def test_the_exchanges_sets_are_complete() -> None:
    binance_rest.rest_strategies().validate()


def test_every_wrong_slot_is_named() -> None:
    wrong = replace(
        binance_rest.rest_strategies(),
        auth=None,  # type: ignore[arg-type]
        retry=object(),  # type: ignore[arg-type]
    )
    with pytest.raises(StrategyError, match=r"auth must be a AuthStrategy, not NoneType") as caught:
        wrong.validate()
    assert "retry must be a RetryStrategy, not object" in str(caught.value)
    assert "request" not in str(caught.value).replace("requests", "")


def test_a_method_left_out_is_named() -> None:
    class Nothing(RetryStrategy):
        pass

    class Half(AuthStrategy):
        pass

    wrong = replace(binance_rest.rest_strategies(), retry=Nothing(), auth=Half())
    with pytest.raises(StrategyError, match=r"retry \(Nothing\) does not implement pause_s\(\)"):
        wrong.validate()
    with pytest.raises(StrategyError, match=r"auth \(Half\) does not implement sign\(\)"):
        RestManager(wrong, base_url="http://127.0.0.1:1")


def test_a_subclass_of_a_real_strategy_may_override_what_it_likes() -> None:
    class Never(FullJitterRetry):
        pass

    replace(binance_rest.rest_strategies(), retry=Never()).validate()


@pytest.mark.parametrize(
    "url",
    ["", "127.0.0.1:80", "ftp://h", "http://h/api", "http://h?x=1", "http://u:p@h", "http://", "http://a..b"],
)
def test_base_url_must_be_an_origin(url: str) -> None:
    with pytest.raises(ConfigurationError, match="base_url"):
        RestManager(binance_rest.rest_strategies(), base_url=url)
