// SPDX-License-Identifier: Apache-2.0

// Package tlsx is the TLS of the gateway's own ports: certificates and keys
// from PEM files or Java keystores, read again when they change, certificates
// of clients, and a small authority for trials. It alone reads keystores.
// It also makes the client's side towards ZooKeeper.
//
// What the ports speak: TLS 1.3, and TLS 1.2 with forward secrecy and
// authenticated encryption (RFC 9325), never less.
package tlsx
