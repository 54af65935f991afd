package history

// A Version is a code version that has published. Versions are ordered within a producer, each of which has one head: the newest, unless
// a person has made an older one the head again (rule 22).
type Version struct {
	Version  string
	Producer string
	Head     bool
}

// Head is the head of a producer; "" where it has never published.
func (t *Table) Head(producer string) string {
	for _, v := range t.Versions {
		if v.Producer == producer && v.Head {
			return v.Version
		}
	}
	return ""
}

// Standing is the version that takes a version's place: the head of its producer. A version that has never published is newer than all
// that have: it is its own.
func (t *Table) Standing(version string) string {
	for _, v := range t.Versions {
		if v.Version == version {
			return t.Head(v.Producer)
		}
	}
	return version
}
