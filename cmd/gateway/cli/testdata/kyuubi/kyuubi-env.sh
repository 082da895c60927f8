#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
export JAVA_HOME=/usr/lib/jvm/java-17
export SPARK_HOME=/opt/spark
export HADOOP_CONF_DIR=/etc/hadoop/conf
export KYUUBI_JAVA_OPTS="-Xmx10g -XX:+UseG1GC"
export KYUUBI_BEELINE_OPTS="-Xmx2g"
