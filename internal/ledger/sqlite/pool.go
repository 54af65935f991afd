package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"sync"
)

// maxReaders is how many readings may go on at once.
const maxReaders = 4

// A pool is the connections that read, each with its prepared statements.
type pool struct {
	db       *sql.DB
	mu       sync.Mutex
	sessions map[driver.Conn]*session
}

func newPool(dsn string) (*pool, error) {
	db, err := sql.Open("sqlite", dsn)
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(maxReaders)
	db.SetMaxIdleConns(maxReaders)
	return &pool{db: db, sessions: map[driver.Conn]*session{}}, nil
}

// with lends a connection to fn.
func (p *pool) with(ctx context.Context, fn func(s *session) error) error {
	conn, err := p.db.Conn(ctx)
	if err != nil {
		return err
	}
	var result error
	err = conn.Raw(func(c any) error {
		// An error of fn says nothing about the connection; Raw would drop it for some.
		result = fn(p.session(c.(driver.Conn))) //nolint:forcetypeassert // the driver's connection is one
		return nil
	})
	return errors.Join(result, err, conn.Close())
}

func (p *pool) session(c driver.Conn) *session {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.sessions[c]
	if s == nil {
		s = &session{conn: c, stmts: map[string]*statement{}}
		p.sessions[c] = s
	}
	return s
}

func (p *pool) close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var errs []error
	for _, s := range p.sessions {
		errs = append(errs, s.finalize())
	}
	p.sessions = map[driver.Conn]*session{}
	return errors.Join(append(errs, p.db.Close())...)
}
