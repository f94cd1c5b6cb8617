package store

import (
	"encoding/json"
	"fmt"

	"go.etcd.io/bbolt"
)

// Names of the buckets. Values are JSON, keys are names.
const (
	bucketMeta      = "meta"
	bucketNetworks  = "networks"
	bucketSandboxes = "sandboxes"
	bucketPublishes = "publishes"
	bucketValues    = "values"
	bucketLists     = "lists" // not in stores of earlier versions
)

// Tx is one transaction: what its function reads and writes belongs together.
type Tx struct {
	tx *bbolt.Tx
}

// State returns everything as this transaction sees it.
func (t *Tx) State() (st State, err error) {
	if st.Networks, err = t.Networks(); err != nil {
		return State{}, err
	}
	if st.Sandboxes, err = t.Sandboxes(); err != nil {
		return State{}, err
	}
	if st.Publishes, err = t.Publishes(); err != nil {
		return State{}, err
	}
	if st.Lists, err = t.Lists(); err != nil {
		return State{}, err
	}
	return st, nil
}

// Network returns a network, or ErrNotFound.
func (t *Tx) Network(name string) (Network, error) {
	return get[Network](t, bucketNetworks, name)
}

// Networks returns all networks, by name.
func (t *Tx) Networks() ([]Network, error) { return list[Network](t, bucketNetworks) }

// PutNetwork stores n under its name.
func (t *Tx) PutNetwork(n Network) error { return put(t, bucketNetworks, n.Name, n) }

// DeleteNetwork forgets a network.
func (t *Tx) DeleteNetwork(name string) error { return del(t, bucketNetworks, name) }

// Sandbox returns a sandbox, or ErrNotFound.
func (t *Tx) Sandbox(name string) (Sandbox, error) {
	return get[Sandbox](t, bucketSandboxes, name)
}

// Sandboxes returns all sandboxes, by name.
func (t *Tx) Sandboxes() ([]Sandbox, error) { return list[Sandbox](t, bucketSandboxes) }

// PutSandbox stores s under its name.
func (t *Tx) PutSandbox(s Sandbox) error { return put(t, bucketSandboxes, s.Name, s) }

// DeleteSandbox forgets a sandbox, but not what is published to it.
func (t *Tx) DeleteSandbox(name string) error { return del(t, bucketSandboxes, name) }

// Publish returns the publish whose first host port is key's, or ErrNotFound.
func (t *Tx) Publish(key PublishKey) (Publish, error) {
	return get[Publish](t, bucketPublishes, key.String())
}

// Publishes returns all published ports, by protocol, address and port.
func (t *Tx) Publishes() ([]Publish, error) { return list[Publish](t, bucketPublishes) }

// PutPublish stores p under its key.
func (t *Tx) PutPublish(p Publish) error { return put(t, bucketPublishes, p.Key().String(), p) }

// DeletePublish forgets a publish.
func (t *Tx) DeletePublish(key PublishKey) error { return del(t, bucketPublishes, key.String()) }

// Lists returns all source lists of host ports, by protocol, address and port.
func (t *Tx) Lists() ([]SourceList, error) { return list[SourceList](t, bucketLists) }

// PutList stores l under its key.
func (t *Tx) PutList(l SourceList) error {
	if _, err := t.tx.CreateBucketIfNotExists([]byte(bucketLists)); err != nil {
		return fmt.Errorf("make bucket %s: %w", bucketLists, err)
	}
	return put(t, bucketLists, l.Key().String(), l)
}

// DeleteList forgets a source list.
func (t *Tx) DeleteList(key PublishKey) error {
	if t.tx.Bucket([]byte(bucketLists)) == nil {
		return nil
	}
	return del(t, bucketLists, key.String())
}

// Value decodes a value that PutValue stored into v, a pointer; ErrNotFound.
func (t *Tx) Value(key string, v any) error {
	data, err := t.raw(bucketValues, key)
	if err != nil {
		return err
	}
	return decode(bucketValues, key, data, v)
}

// PutValue stores a small fact that is none of the lists, such as a sysctl's
// value from before ebnet changed it, as JSON.
func (t *Tx) PutValue(key string, v any) error { return put(t, bucketValues, key, v) }

// DeleteValue forgets a value.
func (t *Tx) DeleteValue(key string) error { return del(t, bucketValues, key) }

func (t *Tx) raw(bucket, key string) ([]byte, error) {
	data := t.tx.Bucket([]byte(bucket)).Get([]byte(key))
	if data == nil {
		return nil, fmt.Errorf("%s %q: %w", bucket, key, ErrNotFound)
	}
	return data, nil
}

func get[T any](t *Tx, bucket, key string) (T, error) {
	var v T
	data, err := t.raw(bucket, key)
	if err != nil {
		return v, err
	}
	return v, decode(bucket, key, data, &v)
}

func list[T any](t *Tx, bucket string) ([]T, error) {
	all := []T{}
	b := t.tx.Bucket([]byte(bucket))
	if b == nil {
		return all, nil // an earlier version's store, which has none of these
	}
	err := b.ForEach(func(key, data []byte) error {
		var v T
		if err := decode(bucket, string(key), data, &v); err != nil {
			return err
		}
		all = append(all, v)
		return nil
	})
	return all, err
}

func put(t *Tx, bucket, key string, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode %s %q: %w", bucket, key, err)
	}
	if err := t.tx.Bucket([]byte(bucket)).Put([]byte(key), data); err != nil {
		return fmt.Errorf("store %s %q: %w", bucket, key, err)
	}
	return nil
}

func del(t *Tx, bucket, key string) error {
	if err := t.tx.Bucket([]byte(bucket)).Delete([]byte(key)); err != nil {
		return fmt.Errorf("delete %s %q: %w", bucket, key, err)
	}
	return nil
}

func decode(bucket, key string, data []byte, v any) error {
	if err := json.Unmarshal(data, v); err != nil {
		return fmt.Errorf("decode %s %q: %w: %w", bucket, key, ErrCorrupt, err)
	}
	return nil
}
