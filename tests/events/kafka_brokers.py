"""Brokers of librdkafka's mock cluster, on ports of this machine, until the input ends.

https://github.com/confluentinc/librdkafka/blob/master/INTRODUCTION.md#mock-cluster
"""

import sys

from confluent_kafka import Producer

cluster = Producer({"bootstrap.servers": "mock", "test.mock.num.brokers": 3, "log_level": 3})
# Asking for the topic makes it.
brokers = cluster.list_topics("mail", timeout=20).brokers.values()
print(",".join(f"{broker.host}:{broker.port}" for broker in brokers), flush=True)
sys.stdin.read()
