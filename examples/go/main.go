// How a gateway in Go asks imquota before it creates a group.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	pb "example.com/gateway/imquota/v1"
)

const (
	deadline = 200 * time.Millisecond
	attempts = 3
)

// Refused says that the group must not be created. Code is what the gateway's caller is told.
type Refused struct {
	Reason pb.DenyReason
	Code   uint32
}

func (r Refused) Error() string { return fmt.Sprintf("refused: %s %d", r.Reason, r.Code) }

// errNoAnswer: whether to go on is the gateway's own policy. This one lets its user wait.
var errNoAnswer = errors.New("the quota service did not answer; try again later")

// Quota has one connection for the whole process: it is safe for goroutines, and connects again by itself.
type Quota struct{ client pb.QuotaServiceClient }

func dial(target string) (*Quota, error) {
	options := []grpc.DialOption{grpc.WithTransportCredentials(insecure.NewCredentials())}
	if strings.HasPrefix(target, "unix:") {
		// Without it the socket's path may be sent as :authority, which HTTP/2 does not allow.
		options = append(options, grpc.WithAuthority("localhost"))
	}
	connection, err := grpc.NewClient(target, options...)
	if err != nil {
		return nil, err
	}
	return &Quota{pb.NewQuotaServiceClient(connection)}, nil
}

// createGroup runs create if there is room, and gives the place back if it fails.
func (q *Quota) createGroup(ctx context.Context, app uint64, name string, create func(string) error) error {
	id := uuid.NewString()
	check := &pb.CheckRequest{AppId: app, Resource: pb.Resource_RESOURCE_GROUP, ResourceId: name, RequestId: id}
	answer, err := again(ctx, func(ctx context.Context) (*pb.CheckResponse, error) { return q.client.Check(ctx, check) })
	if err != nil {
		return err
	}
	if answer.Decision != pb.Decision_DECISION_ALLOW {
		return Refused{answer.Reason, answer.ImErrorCode}
	}
	if err := create(name); err != nil {
		// Nothing exists, so nothing is to be counted. By its name, under an id of its own, and also if the
		// caller has gone away meanwhile.
		release := &pb.ReleaseRequest{AppId: app, Resource: pb.Resource_RESOURCE_GROUP, ResourceId: name, RequestId: id + "-undo"}
		ctx := context.WithoutCancel(ctx)
		_, undone := again(ctx, func(ctx context.Context) (*pb.ReleaseResponse, error) { return q.client.Release(ctx, release) })
		return errors.Join(err, undone)
	}
	return nil
}

// again asks until there is an answer, under the same request id each time, so that it is counted once at most.
func again[T any](ctx context.Context, call func(context.Context) (T, error)) (T, error) {
	for range attempts {
		attempt, cancel := context.WithTimeout(ctx, deadline)
		answer, err := call(attempt)
		cancel()
		code := status.Code(err)
		if code != codes.Unavailable && code != codes.DeadlineExceeded {
			return answer, err
		}
	}
	var none T
	return none, errNoAnswer
}

func main() {
	quota, err := dial(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	app, err := strconv.ParseUint(os.Args[2], 10, 64)
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	made := func(name string) error { fmt.Println("created", name); return nil }
	fails := func(string) error { return errors.New("the disk is full") }
	for _, group := range []struct {
		name   string
		create func(string) error
	}{{"go-1", made}, {"go-2", fails}, {"go-3", made}, {"go-4", made}} {
		var refused Refused
		switch err := quota.createGroup(ctx, app, group.name, group.create); {
		case errors.As(err, &refused):
			fmt.Println(refused)
		case errors.Is(err, errNoAnswer):
			log.Fatal(err)
		case err != nil:
			fmt.Println("given back:", err)
		}
	}
}
