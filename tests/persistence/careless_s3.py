"""An S3 that ignores conditions, as some gateways do without a word: whoever writes last wins."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web
from aiohttp.typedefs import Handler

from tests.servers import S3, s3_at


class CarelessS3:
    """One bucket, in memory. It looks at no signature."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}

    async def put(self, request: web.Request) -> web.Response:
        self.objects[request.match_info["key"]] = await request.read()
        return web.Response(headers={"ETag": '"x"'})

    async def get(self, request: web.Request) -> web.Response:
        body = self.objects.get(request.match_info["key"])
        if body is None:
            return web.Response(status=404, text="<Error><Code>NoSuchKey</Code></Error>")
        return web.Response(body=body, headers={"ETag": '"x"', "Last-Modified": "Wed, 01 Jan 2025 00:00:00 GMT"})

    async def delete(self, request: web.Request) -> web.Response:
        self.objects.pop(request.match_info["key"], None)
        return web.Response(status=204)

    async def list(self, request: web.Request) -> web.Response:
        keys = sorted(key for key in self.objects if key.startswith(request.query.get("prefix", "")))
        found = "".join(
            f"<Contents><Key>{key}</Key><LastModified>2025-01-01T00:00:00.000Z</LastModified>"
            f"<ETag>x</ETag><Size>{len(self.objects[key])}</Size></Contents>"
            for key in keys
        )
        body = f"<ListBucketResult><IsTruncated>false</IsTruncated>{found}</ListBucketResult>"
        return web.Response(text=body, content_type="application/xml")


@asynccontextmanager
async def careless_s3() -> AsyncIterator[tuple[S3, list[web.Request]]]:
    """It, and what it was asked."""
    store, asked = CarelessS3(), list[web.Request]()

    @web.middleware
    async def note(request: web.Request, handler: Handler) -> web.StreamResponse:
        asked.append(request)
        return await handler(request)

    app = web.Application(client_max_size=10_000_000, middlewares=[note])
    app.add_routes(
        [
            web.get("/{bucket}", store.list),
            web.put("/{bucket}/{key:.+}", store.put),
            web.get("/{bucket}/{key:.+}", store.get),
            web.delete("/{bucket}/{key:.+}", store.delete),
        ]
    )
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        yield s3_at(f"http://{host}:{port}"), asked
    finally:
        await runner.cleanup()
