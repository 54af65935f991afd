package ledgertest

var ruleCases = []testCase{}
