#!/bin/sh
# Schedules of django-q2 1.11.1 with Django 5.2.19 (PyPI), by its own scheduler with the clock set to each next_run,
# TIME_ZONE Europe/Berlin, 2026-11-30.
# Guess: a monthly schedule that begins on the first of a month at half past midnight stays on the first. next_run
# is kept in UTC, but since 1.4.9 local times before and after are compared.
# Fact: the month is added in UTC, where that is the last of the month before, and only hours are put right after
# it. October has two runs, on the first and on the 31st, November none, December two, February none, March two;
# from then on it is the 29th for good. At 09:00 all is well. So it is east of Greenwich early in the day; west of
# it, evenings at the end of a month are concerned. The page on schedules warns of the 31st only, which becomes the
# last of a shorter month and stays there. And a daily run at 02:30, a time which one day in March does not have,
# goes to 01:30 on that day and stays at it. Of hours, the page on configuration still says that each clock change
# moves schedules by one, which is what 1.4.7 and 1.4.9 mended. No issue was found that tells of either.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
python3 -m venv venv
venv/bin/pip --quiet --disable-pip-version-check install django-q2==1.11.1 Django==5.2.19 tzdata

cat >probe.py <<'PROBE'
from datetime import datetime, timedelta
from unittest.mock import patch
from zoneinfo import ZoneInfo
import django
from django.conf import settings
settings.configure(
    USE_TZ=True, TIME_ZONE="Europe/Berlin", SECRET_KEY="probe", INSTALLED_APPS=["django_q"],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "probe.db"}},
    Q_CLUSTER={"name": "probe", "orm": "default", "timeout": 60, "retry": 120},
)
django.setup()
from django.core.management import call_command
from django.utils import timezone
from django_q.brokers import get_broker
from django_q.models import OrmQ, Schedule
from django_q.scheduler import scheduler
call_command("migrate", verbosity=0)
berlin = ZoneInfo("Europe/Berlin")
broker = get_broker()
def sent(what, kind, start, runs):
    schedule = Schedule.objects.create(func="news.send", schedule_type=kind, next_run=start.replace(tzinfo=berlin))
    times = []
    for _ in range(runs):
        schedule.refresh_from_db()
        with patch("django.utils.timezone.now", lambda: schedule.next_run + timedelta(seconds=1)):
            scheduler(broker)
        assert OrmQ.objects.count() == 1
        OrmQ.objects.all().delete()
        times.append(f"{schedule.next_run.astimezone(berlin):%d %b %H:%M}")
    schedule.delete()
    print(what, *(", ".join(times[i:i + 5]) for i in range(0, runs, 5)), sep="\n  ")
sent("monthly, the first at 00:30", Schedule.MONTHLY, datetime(2026, 9, 1, 0, 30), 10)
sent("monthly, the first at 09:00", Schedule.MONTHLY, datetime(2026, 9, 1, 9, 0), 10)
sent("daily at 02:30", Schedule.DAILY, datetime(2027, 3, 27, 2, 30), 4)
PROBE
cat >expected <<'SEEN'
monthly, the first at 00:30
  01 Sep 00:30, 01 Oct 00:30, 31 Oct 00:30, 01 Dec 00:30, 31 Dec 00:30
  31 Jan 00:30, 01 Mar 00:30, 29 Mar 00:30, 29 Apr 00:30, 29 May 00:30
monthly, the first at 09:00
  01 Sep 09:00, 01 Oct 09:00, 01 Nov 09:00, 01 Dec 09:00, 01 Jan 09:00
  01 Feb 09:00, 01 Mar 09:00, 01 Apr 09:00, 01 May 09:00, 01 Jun 09:00
daily at 02:30
  27 Mar 02:30, 28 Mar 01:30, 29 Mar 01:30, 30 Mar 01:30
SEEN
venv/bin/python probe.py >seen 2>log || { cat log >&2; exit 1; }
cat seen
if ! diff expected seen; then
    echo "this is not what was seen then" >&2
    exit 1
fi
