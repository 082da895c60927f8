package discovery

// Node is the registration of one engine, in Kyuubi's node-name format:
//
//	serverUri=host:port;version=…;key=value;…;refId=…;sequence=…
type Node struct {
	// Address is the host:port of the Connect service (serverUri).
	Address string
	// Version is the engine protocol version.
	Version string
	// RefID is the engine's reference id, a UUID made by the launching gateway.
	RefID string
	// Sequence is set by the store; 0 means not stored yet.
	Sequence int64
	// Attributes are the remaining pairs: sparkConnectPort, control, mac,
	// sparkVersion, kyuubi.engine.id, kyuubi.engine.url, spark.driver.memory, …
	Attributes map[string]string
}
