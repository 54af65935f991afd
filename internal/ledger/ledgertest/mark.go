package ledgertest

var markCases = []testCase{}
