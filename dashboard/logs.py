"""What a log line may not hold."""

import logging
import re

_RECEIVER_KEY = re.compile(r"/hooks/[^/\s\"']+")


class HideReceiverKeys(logging.Filter):
    """Take the keys out of receiver paths: whoever knows one can knock at that door."""

    def filter(self, record: logging.LogRecord) -> bool:
        text = record.getMessage()
        if "/hooks/" in text:
            record.msg, record.args = _RECEIVER_KEY.sub("/hooks/[key]", text), ()
        return True
