# Runs MiniStack, which stays as it was installed, for the program that started this one.
#
# Standard input is JSON: {"secret": a word, "running": the file that exists until the
# state is saved}. Only requests whose path begins with the secret reach MiniStack. It
# answers every origin and has requests that delete everything, so a web page must not
# reach its port. MiniStack also goes on when it cannot read or save its state, and ends
# as if it had: here the first ends it, and after the second the exit status is 74. It is
# 75 if only objects of S3, which are written as they come, are not on the disk.
import hmac
import json
import logging
import os
import sys
import traceback

import ministack.app

told = json.load(sys.stdin)
prefix = "/" + told["secret"]
everything = ministack.app.app
save_all = ministack.app.save_all
saving = False
saved = False
failures = []
objects = []


async def ours(scope, receive, send):
    if scope["type"] == "lifespan":
        return await everything(scope, receive, send)
    path, raw_path = scope["path"], scope["raw_path"][len(prefix) :]
    begin, rest = path[: len(prefix)], path[len(prefix) :]
    if not rest:  # SDKs leave the slash out
        rest, raw_path = "/", b"/"
    if hmac.compare_digest(begin.encode(), prefix.encode()) and rest.startswith("/"):
        return await everything(dict(scope, path=rest, raw_path=raw_path), receive, send)
    if scope["type"] == "websocket":
        return await send({"type": "websocket.close", "code": 1008})
    await send({"type": "http.response.start", "status": 403, "headers": [(b"content-length", b"0"), (b"connection", b"close")]})
    await send({"type": "http.response.body", "body": b""})


def save(services):
    global saving, saved
    saving = True
    save_all(services)
    saved = True


class Failures(logging.Handler):
    def emit(self, record):
        if saving:
            failures.append(record.getMessage())
            return
        # It would go on without the state, and save that over it.
        print("the engine cannot read its state:", record.getMessage(), file=sys.stderr, flush=True)
        os._exit(65)


class Objects(logging.Handler):
    def emit(self, record):
        if record.msg.startswith("Failed to persist ") and len(objects) < 10:
            objects.append(record.getMessage())


logging.getLogger("persistence").addHandler(Failures(logging.ERROR))
logging.getLogger("s3").addHandler(Objects(logging.WARNING))
ministack.app.app = ours
ministack.app.save_all = save
try:
    ministack.app.main()
finally:
    if sys.exc_info()[0] not in (None, SystemExit):
        traceback.print_exc()
    if ministack.app.PERSIST_STATE and (failures or not saved):
        print("the engine has not saved its state:", "; ".join(failures) or "it ended before", file=sys.stderr, flush=True)
        sys.exit(74)
    if saved:
        try:
            os.remove(told["running"])
        except FileNotFoundError:
            pass
        if objects:
            print("objects of S3 are not saved:", "; ".join(objects), file=sys.stderr, flush=True)
        # The server calls its end too late if the state was large, and raises.
        sys.exit(75 if objects else 0)
