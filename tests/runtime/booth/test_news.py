"""From a thread to listeners of an asyncio loop."""

from __future__ import annotations

import asyncio
import threading

from edgematte.runtime.booth.news import News


def test_a_slow_listener_gets_the_latest_and_never_a_queue() -> None:
    async def listen() -> list[int]:
        news: News[int] = News()
        heard = []
        news.publish(1)
        thread = threading.Thread(target=lambda: [news.publish(item) for item in range(2, 100)])
        async for item in news.follow():
            heard.append(item)
            if item == 1:
                thread.start()
                await asyncio.to_thread(thread.join)  # meanwhile 98 more
            if item == 99:
                news.close()
        return heard

    assert asyncio.run(asyncio.wait_for(listen(), 20)) == [1, 99]


def test_a_listener_that_leaves_is_forgotten_and_closing_ends_the_others() -> None:
    async def listen() -> object:
        news: News[int] = News()
        left = asyncio.ensure_future(news.after(0))
        stays = asyncio.ensure_future(news.after(0))
        await asyncio.sleep(0)
        left.cancel()
        await asyncio.sleep(0)
        news.close()
        return await stays

    assert asyncio.run(asyncio.wait_for(listen(), 20)) is None
