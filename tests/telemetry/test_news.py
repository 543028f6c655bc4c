"""News against lists: every listener hears everything from its start on, but what was gone before it came."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from cexnet.telemetry.news import News


@given(before=st.integers(0, 6), batches=st.lists(st.integers(0, 6), max_size=8), kept=st.integers(1, 5))
def test_a_listener_hears_in_order_and_counts_what_it_missed(
    before: int, batches: list[int], kept: int
) -> None:
    async def run() -> None:
        news: News[int] = News(kept)
        told = 0
        for _ in range(before):
            news.tell(told)
            told += 1
        listener = news.listen()
        heard: list[int] = []
        for batch in batches:
            for _ in range(batch):
                news.tell(told)
                told += 1
            heard += [await anext(listener) for _ in range(min(batch, kept))]
        news.close()
        assert [item async for item in listener] == []
        wanted = []
        number = before
        for batch in batches:
            wanted += range(number, number + batch)[-kept:] if batch else []
            number += batch
        assert heard == wanted
        assert listener.missed == told - before - len(heard)

    asyncio.run(run())


async def test_those_who_wait_are_woken_together_and_may_give_up() -> None:
    news: News[str] = News(4)
    waiting = [asyncio.ensure_future(anext(news.listen())) for _ in range(3)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    await asyncio.sleep(0)
    news.tell("it happened")
    assert await asyncio.gather(*waiting[1:]) == ["it happened"] * 2
