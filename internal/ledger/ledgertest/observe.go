package ledgertest

var observeCases = []testCase{}
