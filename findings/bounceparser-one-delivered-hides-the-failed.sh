#!/bin/sh
# Delivery reports on two recipients, read by Mail::DeliveryStatus::BounceParser 1.543 (Debian 12), 2026-11-30.
# Guess: each recipient is taken by its own Action: the one that failed is given by addresses(), whatever is said of
# the other, for a report may have both (RFC 3464), as where a sender asked for NOTIFY=SUCCESS,FAILURE.
# Fact: the first Action that is neither failed nor expanded ends the reading, and the whole is no bounce. If the
# delivered or delayed recipient comes first, the failed one is not named at all; if it comes later, the failed one
# is in addresses(), but is_bounce(), which the documentation has one ask, is false. A dead address stays on the
# list. The manual says that reports of transient errors are no bounces, and nothing of reports on several
# recipients; the source has a comment on why an Action of "expanded" does not end the reading.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
chmod 755 .
apt-get download -q libmail-deliverystatus-bounceparser-perl=1.543+repacked-1 libmime-tools-perl libmailtools-perl \
    libtimedate-perl libconvert-binhex-perl >/dev/null 2>log || { cat log >&2; exit 1; }
for each in *.deb; do dpkg-deb -x "$each" root; done

cat >probe.pl <<'PROBE'
use strict;
use warnings;
use Mail::DeliveryStatus::BounceParser;

sub report {
    my @groups = map { "\nFinal-Recipient: rfc822; $_->[0]\nAction: $_->[1]\nStatus: $_->[2]\n" } @_;
    return <<"MAIL";
From: MAILER-DAEMON\@mx.example.org
To: bounces\@example.com
Subject: Delivery Status Notification
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="B"

--B
Content-Type: text/plain

This is a report on your message.
--B
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example.org
@{[join '', @groups]}
--B--
MAIL
}

my $failed = ['ann@example.org', 'failed', '5.1.1'];
my $delivered = ['bob@example.org', 'delivered', '2.0.0'];
my $delayed = ['cid@example.org', 'delayed', '4.4.1'];
for my $groups ([$failed], [$failed, $delivered], [$delivered, $failed], [$failed, $delayed], [$delayed, $failed]) {
    my $bounce = Mail::DeliveryStatus::BounceParser->new(report(@$groups));
    printf "%-16s bounce: %d, addresses: %s\n",
        join('+', map { $_->[1] } @$groups), $bounce->is_bounce, join(' ', $bounce->addresses) || '-';
}
PROBE
cat >expected <<'SEEN'
failed           bounce: 1, addresses: ann@example.org
failed+delivered bounce: 0, addresses: ann@example.org
delivered+failed bounce: 0, addresses: -
failed+delayed   bounce: 0, addresses: ann@example.org
delayed+failed   bounce: 0, addresses: -
SEEN
PERL5LIB="$dir/root/usr/share/perl5" perl probe.pl >seen
cat seen
if ! diff expected seen; then
    echo "this is not what was seen then" >&2
    exit 1
fi
