package ledgertest

var runCases = []testCase{}
