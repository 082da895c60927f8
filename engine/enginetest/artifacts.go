// SPDX-License-Identifier: Apache-2.0

package enginetest

import (
	"context"
	"errors"
	"hash/crc32"
	"io"
	"path"
	"strings"

	"google.golang.org/grpc"

	connect "roundhouse/proto/gen/spark/connect"
)

// upload is one AddArtifacts call: the first message names its session, later
// ones are not asked, as in the real engine.
type upload struct {
	manager *sessions
	session *session
	open    string // name of the chunked artifact under way
	bytes   int64
	good    bool // every checksum of it so far
	done    []*connect.AddArtifactsResponse_ArtifactSummary
}

// AddArtifacts counts the bytes of artifacts and keeps none.
func (v *service) AddArtifacts(stream grpc.ClientStreamingServer[connect.AddArtifactsRequest, connect.AddArtifactsResponse]) error {
	u := upload{manager: v.sessions}
	for {
		r, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return u.finish(stream)
		}
		if err != nil {
			return err
		}
		if err := u.take(r); err != nil {
			return err
		}
	}
}

func (u *upload) take(r *connect.AddArtifactsRequest) error {
	if u.session == nil {
		s, err := u.manager.obtain(callOf(r))
		if err != nil {
			return err
		}
		u.session = s
	}
	for _, a := range r.GetBatch().GetArtifacts() {
		if err := u.begin(a.Name, a.Data); err != nil {
			return u.session.failed(err)
		}
	}
	if b := r.GetBeginChunk(); b != nil {
		if err := u.begin(b.Name, b.InitialChunk); err != nil {
			return u.session.failed(err)
		}
	}
	if c := r.GetChunk(); c != nil {
		u.add(c)
	}
	return nil
}

func (u *upload) begin(name string, first *connect.AddArtifactsRequest_ArtifactChunk) *sparkError {
	u.end()
	if path.IsAbs(name) || strings.HasPrefix(path.Clean(name), "..") {
		return fail(errArtifactPath, "name", name)
	}
	u.open, u.bytes, u.good = name, 0, true
	u.add(first)
	return nil
}

func (u *upload) add(c *connect.AddArtifactsRequest_ArtifactChunk) {
	u.bytes += int64(len(c.GetData()))
	u.good = u.good && int64(crc32.ChecksumIEEE(c.GetData())) == c.GetCrc()
}

// end closes the artifact under way; one with a bad checksum is not kept.
func (u *upload) end() {
	if u.open == "" {
		return
	}
	u.done = append(u.done, &connect.AddArtifactsResponse_ArtifactSummary{Name: u.open, IsCrcSuccessful: u.good})
	if u.good {
		u.session.keepArtifact(u.open, u.bytes)
	}
	u.open = ""
}

func (u *upload) finish(stream grpc.ClientStreamingServer[connect.AddArtifactsRequest, connect.AddArtifactsResponse]) error {
	if u.session == nil {
		return fail(errJava, "text", "requirement failed: no artifact was sent")
	}
	u.end()
	return stream.SendAndClose(&connect.AddArtifactsResponse{
		SessionId: u.session.key.id, ServerSideSessionId: u.session.serverSide, Artifacts: u.done,
	})
}

func (s *session) keepArtifact(name string, bytes int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.artifacts == nil {
		s.mu.artifacts = make(map[string]int64)
	}
	s.mu.artifacts[name] = bytes
}

// ArtifactStatus tells which cached artifacts exist; only names under cache/ are ever found.
func (v *service) ArtifactStatus(_ context.Context, r *connect.ArtifactStatusesRequest) (*connect.ArtifactStatusesResponse, error) {
	s, err := v.sessions.obtain(callOf(r))
	if err != nil {
		return nil, err
	}
	out := &connect.ArtifactStatusesResponse{
		SessionId: s.key.id, ServerSideSessionId: s.serverSide,
		Statuses: make(map[string]*connect.ArtifactStatusesResponse_ArtifactStatus),
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, name := range r.Names {
		_, exists := s.mu.artifacts[name]
		exists = exists && strings.HasPrefix(name, "cache/")
		out.Statuses[name] = &connect.ArtifactStatusesResponse_ArtifactStatus{Exists: exists}
	}
	return out, nil
}
