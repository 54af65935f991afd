package league

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
)

// A club is a team with its players of the day, the best first.
type club struct {
	id, abbr, city, nick string
	offence, defence     float64 // shares of made shots more than usual, and fewer allowed
	roster               []*player
	wins                 int // in the regular season
	namer                *namer
}

func (c *club) name() string { return c.city + " " + c.nick }

// A player is a person who does not exist.
type player struct {
	id, name string
	// spelled is a second spelling of the name, which some box scores use; "" where there is none.
	spelled  string
	position string // G, G-F, F-G, F, F-C, C-F or C
	usage    float64
	paint    float64 // share of his shots
	three    float64
	accuracy float64 // added to the share of made shots
	freeTry  float64 // weight when free throws are given out
	freeMade float64
	rebounds float64
	assists  float64
	steals   float64
	blocks   float64
	fouls    float64
}

const rosterSize = 15

// cities, nicks and abbreviations of the thirty teams; none of them exists.
var teamNames = [30][3]string{
	{"Alder Bay", "Herons", "ALD"}, {"Brightwater", "Lanterns", "BRW"}, {"Cinder Hill", "Foxes", "CIN"},
	{"Dunmore", "Pilots", "DUN"}, {"Eastmarch", "Owls", "EMR"}, {"Fallow Creek", "Otters", "FAL"},
	{"Granite Falls", "Rams", "GRF"}, {"Harrowgate", "Comets", "HAR"}, {"Ironwood", "Anvils", "IRW"},
	{"Juniper", "Larks", "JUN"}, {"Kestrel Point", "Kites", "KES"}, {"Longmeadow", "Plows", "LNG"},
	{"Marrow Lake", "Pikes", "MRL"}, {"Northolt", "Beacons", "NOR"}, {"Oakhaven", "Squires", "OAK"},
	{"Pinecrest", "Martens", "PNC"}, {"Quarry Town", "Masons", "QRY"}, {"Redfield", "Harriers", "RDF"},
	{"Saltmarsh", "Terns", "SLT"}, {"Thornbury", "Badgers", "THO"}, {"Umber Valley", "Bears", "UMB"},
	{"Vesper", "Night Hawks", "VSP"}, {"Westerly", "Gales", "WES"}, {"Yarrow", "Millers", "YAR"},
	{"Zephyr Coast", "Sails", "ZEP"}, {"Ashgrove", "Embers", "ASH"}, {"Copperton", "Wires", "COP"},
	{"Drift Harbor", "Anchors", "DRH"}, {"Elk Prairie", "Bulls", "ELK"}, {"Glasswing", "Moths", "GLW"},
}

// newClubs makes the league's teams with a full roster each.
func newClubs(draw *rand.Rand) []*club {
	names := &namer{taken: map[string]bool{}}
	clubs := make([]*club, len(teamNames))
	for i, n := range teamNames {
		c := &club{id: fmt.Sprintf("90000000%02d", i+1), city: n[0], nick: n[1], abbr: n[2], namer: names}
		for range rosterSize {
			c.roster = append(c.roster, newPlayer(draw, names))
		}
		clubs[i] = c
	}
	form(draw, clubs)
	return clubs
}

// form draws how good every team is this season, and opens its books.
func form(draw *rand.Rand, clubs []*club) {
	for _, c := range clubs {
		c.offence, c.defence, c.wins = 0.012*draw.NormFloat64(), 0.012*draw.NormFloat64(), 0
	}
}

// renewRosters is the summer: three players of each team retire, two change places within it, new ones come.
func renewRosters(draw *rand.Rand, clubs []*club) {
	for _, c := range clubs {
		for range 3 {
			i := draw.IntN(len(c.roster))
			c.roster = slices.Delete(c.roster, i, i+1)
		}
		i, j := draw.IntN(len(c.roster)), draw.IntN(len(c.roster))
		c.roster[i], c.roster[j] = c.roster[j], c.roster[i]
		for range 3 {
			i := 3 + draw.IntN(len(c.roster)-2)
			c.roster = slices.Insert(c.roster, i, newPlayer(draw, c.namer))
		}
	}
	trade(draw, clubs)
	form(draw, clubs)
}

// trade lets fifteen pairs of players change teams.
func trade(draw *rand.Rand, clubs []*club) {
	for range 15 {
		a, b := clubs[draw.IntN(len(clubs))], clubs[draw.IntN(len(clubs))]
		i := draw.IntN(rosterSize)
		a.roster[i], b.roster[i] = b.roster[i], a.roster[i]
	}
}

// A kind of player, by position: what he does more than others.
type kind struct {
	position                                                 string
	weight, paint, three, rebounds, assists, steals, blocked float64
}

var kinds = []kind{
	{position: "G", weight: 0.40, paint: 0.32, three: 0.47, rebounds: 0.6, assists: 2.2, steals: 1.3, blocked: 0.4},
	{position: "G-F", weight: 0.08, paint: 0.35, three: 0.45, rebounds: 0.8, assists: 1.4, steals: 1.2, blocked: 0.6},
	{position: "F-G", weight: 0.04, paint: 0.36, three: 0.44, rebounds: 0.9, assists: 1.1, steals: 1.1, blocked: 0.8},
	{position: "F", weight: 0.30, paint: 0.42, three: 0.39, rebounds: 1.2, assists: 0.8, steals: 0.9, blocked: 1.1},
	{position: "F-C", weight: 0.06, paint: 0.52, three: 0.27, rebounds: 1.6, assists: 0.7, steals: 0.7, blocked: 1.7},
	{position: "C-F", weight: 0.04, paint: 0.58, three: 0.21, rebounds: 1.8, assists: 0.6, steals: 0.7, blocked: 2.0},
	{position: "C", weight: 0.08, paint: 0.66, three: 0.12, rebounds: 2.2, assists: 0.6, steals: 0.6, blocked: 2.6},
}

func newPlayer(draw *rand.Rand, names *namer) *player {
	k := kinds[pick(draw, len(kinds), func(i int) float64 { return kinds[i].weight })]
	vary := func(mean, spread float64) float64 { return mean * (1 - spread + 2*spread*draw.Float64()) }
	p := &player{
		position: k.position,
		usage:    vary(1, 0.45),
		paint:    vary(k.paint, 0.3),
		three:    vary(k.three, 0.3),
		accuracy: 0.03 * draw.NormFloat64(),
		freeTry:  vary(0.6+k.paint, 0.5),
		freeMade: min(0.95, 0.78+0.07*draw.NormFloat64()),
		rebounds: vary(k.rebounds, 0.3),
		assists:  vary(k.assists, 0.5),
		steals:   vary(k.steals, 0.4),
		blocks:   vary(k.blocked, 0.4),
		fouls:    vary(1, 0.4),
	}
	p.id, p.name, p.spelled = names.next(draw)
	return p
}

// simple is the position in one letter.
func (p *player) simple() string { return p.position[:1] }

// A namer gives out names and ids, each once.
type namer struct {
	taken map[string]bool
	count int
}

var (
	givenStart  = []string{"Ad", "Bre", "Cor", "Dar", "El", "Fen", "Gar", "Hol", "Iv", "Jas", "Kel", "Lor", "Mal", "Nev", "Or", "Per", "Ren", "Sol", "Tam", "Vel"}
	givenEnd    = []string{"an", "ick", "os", "vin", "der", "ric", "mon", "ley", "is", "ett"}
	familyStart = []string{
		"Aster", "Bram", "Calder", "Dray", "Ever", "Farr", "Glen", "Hask", "Ingle", "Jarr", "Kett", "Lind", "Mar", "Nor", "Oster", "Pell",
		"Quill", "Ras", "Stav", "Tor", "Ulm", "Var", "Wex", "Yor", "Zell",
	}
	familyEnd = []string{"ane", "berg", "croft", "dovan", "field", "gate", "hollow", "ić", "land", "more", "noth", "por", "quist", "ridge", "stead", "wick"}
)

// next makes up a person. Names with a letter that not every keyboard has are spelled two ways.
func (n *namer) next(draw *rand.Rand) (id, name, spelled string) {
	one := func(of []string) string { return of[draw.IntN(len(of))] }
	for {
		name = one(givenStart) + one(givenEnd) + " " + one(familyStart) + one(familyEnd)
		if !n.taken[name] {
			break
		}
	}
	n.taken[name] = true
	n.count++
	if plain := strings.ReplaceAll(name, "ć", "c"); plain != name && draw.IntN(2) == 0 {
		spelled = plain
	}
	return fmt.Sprintf("90%05d", n.count), name, spelled
}

// pick draws a number below n, each with the weight given, of which at least one is positive.
func pick(draw *rand.Rand, n int, weight func(int) float64) int {
	var sum float64
	for i := range n {
		sum += weight(i)
	}
	x := draw.Float64() * sum
	for i := range n - 1 {
		if x -= weight(i); x < 0 {
			return i
		}
	}
	return n - 1
}
