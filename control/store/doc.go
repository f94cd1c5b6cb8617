// Package store keeps what people asked for: networks, sandboxes and published
// ports, and who may connect to those that an engine publishes, in one file that survives a crash at any instruction.
//
// A [Store] belongs to one agent at a time. Every [Store.Update] is one
// transaction: either all of it is on disk when it returns nil, or none of it.
// What the kernel knows (links, maps, interface indexes) is not kept here.
//
//	Open(path) (*Store, error)              ErrInUse, ErrCorrupt, ErrNewer
//	(*Store) Close, Path, ID
//	(*Store) Update(func(*Tx) error) error  read and write
//	(*Store) View(func(*Tx) error) error    read
//	(*Store) State() (State, error)         everything, of one moment
//	(*Tx) Network, Networks, PutNetwork, DeleteNetwork         by name
//	(*Tx) Sandbox, Sandboxes, PutSandbox, DeleteSandbox        by name
//	(*Tx) Publish, Publishes, PutPublish, DeletePublish        by PublishKey
//	(*Tx) Lists, PutList, DeleteList                           by PublishKey
//	(*Tx) Value, PutValue, DeleteValue      small facts of the agent, by key
//	NewID() string                          a fresh ID of 64 hex digits
//
// Reads return ErrNotFound; a Put replaces what has the same name, a Delete of
// what is not there is no error. Whether names are free and references hold is
// for the caller to decide, inside the transaction.
//
// A Tx must not be used after its function has returned, and inside Update or
// View no other transaction of the same Store may be started.
package store
