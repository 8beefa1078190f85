package main

import (
	"context"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

// lead takes part in an election under the name that is its argument, and steps back when its input ends.
func lead(ctx context.Context, config *rest.Config, namespace string, arguments []string) error {
	name := arguments[0]
	lock := &resourcelock.LeaseLock{
		LeaseMeta:  metav1.ObjectMeta{Name: "leader", Namespace: namespace},
		Client:     kubernetes.NewForConfigOrDie(config).CoordinationV1(),
		LockConfig: resourcelock.ResourceLockConfig{Identity: name},
	}
	leaderelection.RunOrDie(ctx, leaderelection.LeaderElectionConfig{
		Lock:            lock,
		ReleaseOnCancel: true,
		LeaseDuration:   4 * time.Second,
		RenewDeadline:   2 * time.Second,
		RetryPeriod:     300 * time.Millisecond,
		Callbacks: leaderelection.LeaderCallbacks{
			OnStartedLeading: func(ctx context.Context) { say(line{"name": name, "event": "leads"}); <-ctx.Done() },
			OnStoppedLeading: func() { say(line{"name": name, "event": "stopped"}) },
			OnNewLeader:      func(leader string) { say(line{"name": name, "event": "follows", "leader": leader}) },
		},
	})
	return nil
}
