"""What holds for all tests."""

from __future__ import annotations

import signal

from hypothesis import HealthCheck, settings

settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")  # a busy machine makes no test red

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # In the background of a shell Ctrl-C is ignored, and whatever is started there inherits that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
