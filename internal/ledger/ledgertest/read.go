package ledgertest

var readCases = []testCase{}
