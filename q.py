import sys
from pyspark.sql import SparkSession
b = SparkSession.builder.remote(sys.argv[1])
for kv in sys.argv[2:]:
    b = b.config(*kv.split("=",1))
s = b.getOrCreate()
print(s.range(10).count(), s.sql("SET spark.driver.memory").collect(), s.sql("select current_user()").collect())
