package letter

// playerChanged writes about a player's new status.
func (l Letter) playerChanged(w in, d *doc) {
	board := w.board(l.Board)
	status, ok := l.change("status")
	if ok {
		d.subject = w.subject("Your status on %[1]s: %[2]s", "%[1]s: 상태 변경 – %[2]s", board, w.word(statuses, status.To))
	} else {
		d.subject = w.subject("Your data on %s was changed", "%s: 내 정보 변경", board)
	}
	l.greet(w, d)
	if p, known := effects[status.To]; known {
		d.say(w.pair(p))
	}
	f := l.who(w)
	for _, c := range l.Changes {
		value := w.say("changed", "변경됨")
		if c.From != "" || c.To != "" {
			to := w.say("none", "없음")
			if c.To != "" {
				to = w.word(statuses, c.To)
			}
			value = arrow(w.word(statuses, c.From), to)
		}
		f = append(f, fact{name: w.word(fields, c.Field), value: []string{value}, main: c.Field == "status"})
	}
	l.said(w, &f, l.Note)
	d.blocks = append(d.blocks, f)
}

// who names the player.
func (l Letter) who(w in) (f facts) {
	f.add(w.say("Board", "점수판"), w.board(l.Board).String())
	f.add(w.say("Player", "참가자"), w.player(l.Player).String())
	return f
}

// playerErased writes about personal data that was erased.
func (l Letter) playerErased(w in, d *doc) {
	d.subject = w.subject("Your personal data on %s was erased", "%s: 개인정보 삭제", w.board(l.Board))
	l.greet(w, d)
	d.say(w.say("Personal data of a player of yours was erased for good. The player’s id, status, entries and points remain.",
		"참가자의 개인정보가 영구히 삭제되었습니다. 참가자 ID, 상태, 기록과 점수는 그대로 남습니다."))
	f := l.who(w)
	erased := fact{name: w.say("Erased", "삭제된 항목"), main: true}
	for _, c := range l.Changes {
		erased.value = append(erased.value, w.word(fields, c.Field))
	}
	f = append(f, erased)
	l.said(w, &f, l.Note)
	d.blocks = append(d.blocks, f)
}

// linkProposed asks the reader whether a player is theirs.
func (l Letter) linkProposed(w in, d *doc) {
	board, player := w.board(l.Board), w.player(l.Player)
	d.subject = w.subject("Are you the player %[2]s on %[1]s?", "%[1]s: 참가자 ‘%[2]s’ 연결 제안", board, player)
	l.greet(w, d)
	d.say(w.say("The people who run this board propose to link this player to your account. If you accept, you can read the player’s entries and get mail about changes. Nothing happens until you accept.",
		"점수판 운영자가 이 참가자를 회원님 계정에 연결하자고 제안했습니다. 수락하면 참가자의 기록을 볼 수 있고 변경 사항을 메일로 받습니다. 수락하기 전에는 아무것도 바뀌지 않습니다."))
	f := l.who(w)
	l.said(w, &f, l.Note)
	d.blocks = append(d.blocks, f)
	d.say(w.say("To accept or decline, log in to the app in which you use this board. By the API, PUT /v1/players/me/links/{board}/{player} accepts and DELETE declines.",
		"수락하거나 거절하려면 이 점수판을 이용하는 앱에 로그인해 주세요. API로는 PUT /v1/players/me/links/{board}/{player} 요청으로 수락하고 DELETE 요청으로 거절합니다."))
	d.say(w.say("If this is not you, decline or ignore it.", "본인이 아니라면 거절하거나 무시하셔도 됩니다."))
}

// linkEnded writes about a link that others ended.
func (l Letter) linkEnded(w in, d *doc) {
	board, player := w.board(l.Board), w.player(l.Player)
	d.subject = w.subject("No longer linked to you: %[2]s on %[1]s", "%[1]s: 참가자 ‘%[2]s’ 연결 해제", board, player)
	l.greet(w, d)
	d.say(w.say("This player is no longer linked to your account. You get no more mail about the player, and can read private entries no longer.",
		"이 참가자와 회원님 계정의 연결이 해제되었습니다. 앞으로 이 참가자에 관한 메일을 받지 않으며 비공개 기록을 볼 수 없습니다."))
	f := l.who(w)
	l.said(w, &f, l.Note)
	d.blocks = append(d.blocks, f)
}
