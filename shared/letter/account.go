package letter

// account writes about the reader's own account.
func (l Letter) account(w in, d *doc) {
	var f facts
	ifNot := w.say("If this was not you, reset your password at once: that also logs out everybody else.",
		"본인이 아니라면 지금 바로 비밀번호를 재설정해 주세요. 재설정하면 로그인된 모든 기기에서 로그아웃됩니다.")
	switch l.Kind {
	case Verify:
		d.subject = w.say("Confirm your e-mail address", "이메일 주소를 확인해 주세요")
		d.say(w.say("Please confirm that this address is yours.", "이 이메일 주소가 본인의 것인지 확인해 주세요."))
		d.blocks = append(d.blocks, button{link{w.say("Confirm address", "이메일 주소 확인"), l.Link}})
		d.say(w.say("The link is valid for %s and works once.", "링크는 %s 동안 유효하며 한 번만 사용할 수 있습니다.", w.span(l.LinkFor)))
		d.say(w.say("If you neither opened an account nor changed its address, do not use the link: somebody else entered your address. You need not do anything.",
			"가입하거나 주소를 변경한 적이 없다면 링크를 사용하지 마세요. 다른 사람이 이 주소를 입력한 것이며, 아무 조치도 필요하지 않습니다."))
		return
	case Reset:
		d.subject = w.say("Reset your password", "비밀번호 재설정")
		d.say(w.say("A new password was requested for your account.", "회원님 계정의 비밀번호 재설정 요청을 받았습니다."))
		d.blocks = append(d.blocks, button{link{w.say("Choose a new password", "새 비밀번호 설정"), l.Link}})
		d.say(w.say("The link is valid for %s and works once. A new password logs you out on every device.",
			"링크는 %s 동안 유효하며 한 번만 사용할 수 있습니다. 새 비밀번호를 설정하면 모든 기기에서 로그아웃됩니다.", w.span(l.LinkFor)))
		d.say(w.say("If you did not request it, ignore this mail. Your password stays as it is.",
			"요청한 적이 없다면 이 메일을 무시하세요. 비밀번호는 그대로 유지됩니다."))
		return
	}
	l.greet(w, d)
	if l.Kind != RoleChanged {
		l.Actor, l.ByKey = "", false // the account itself, in whose name others may have acted
	}
	switch l.Kind {
	case RoleChanged:
		role, _ := l.change("role")
		d.subject = w.subject("Your role is now: %s", "역할 변경 – %s", w.word(roles, role.To))
		if p, ok := allowances[role.To]; ok {
			d.say(w.pair(p))
		}
		f = append(f, fact{name: w.say("Role", "역할"), value: []string{arrow(w.word(roles, role.From), w.word(roles, role.To))}, main: true})
		l.said(w, &f, l.Note)
		ifNot = w.say("If you did not expect this, ask an admin.", "예상하지 못한 변경이라면 관리자에게 문의해 주세요.")
	case PasswordChanged:
		d.subject = w.say("Your password was changed", "비밀번호가 변경되었습니다")
		d.say(w.say("You have been logged out on every device.", "모든 기기에서 로그아웃되었습니다."))
		l.said(w, &f, l.Note)
	case EmailChanged:
		d.subject = w.say("The e-mail address of your account was changed", "계정의 이메일 주소가 변경되었습니다")
		d.say(w.say("Mail now goes to the new address, and so do links that reset the password.",
			"앞으로 메일과 비밀번호 재설정 링크는 새 주소로 발송됩니다."))
		l.said(w, &f, l.Note)
		ifNot = w.say("If this was not you, ask an admin at once.", "본인이 변경하지 않았다면 지금 바로 관리자에게 문의해 주세요.")
	case LoginFailed:
		d.subject = w.say("Failed logins to your account", "계정 로그인 실패 알림")
		if l.Failed > 0 {
			d.subject = w.say("%s to your account", "계정 로그인 %s 실패", w.count(l.Failed, "failed login", "failed logins", "회"))
		}
		d.say(w.say("Somebody tried to log in to your account with wrong passwords.", "잘못된 비밀번호로 회원님 계정에 로그인하려는 시도가 있었습니다."))
		l.said(w, &f, l.Note)
		ifNot = w.say("If it was you, there is nothing to do. If it was not, use a password that you use nowhere else.",
			"본인이 시도했다면 별도의 조치가 필요하지 않습니다. 본인이 아니라면 다른 곳에서 쓰지 않는 비밀번호를 사용해 주세요.")
	case SessionReused:
		d.subject = w.say("A session of your account was ended for safety", "보안을 위해 로그인 세션을 종료했습니다")
		d.say(w.say("The credentials of this session were used twice. Somebody may have copied them, so the session was ended.",
			"로그인 세션의 인증 정보가 두 번 사용되었습니다. 누군가 복사했을 수 있어 해당 세션을 종료했습니다."))
		l.said(w, &f, l.Note)
		ifNot = w.say("Log in again. If you notice anything that you did not do, reset your password: that ends all sessions.",
			"다시 로그인해 주세요. 본인이 하지 않은 활동이 있다면 비밀번호를 재설정해 주세요. 재설정하면 모든 세션이 종료됩니다.")
	case KeyCreated:
		d.subject = w.say("A new API key for your account", "새 API 키가 만들어졌습니다")
		d.say(w.say("With this key a program can act in your name.", "이 키로 프로그램이 회원님을 대신해 작업할 수 있습니다."))
		if l.Key != nil {
			f = append(f, l.Key.facts(w)...)
		}
		l.said(w, &f, l.Note)
		ifNot = w.say("If you did not make it, delete the key and reset your password at once.", "본인이 만들지 않았다면 지금 바로 키를 삭제하고 비밀번호를 재설정해 주세요.")
	}
	d.blocks = append(d.blocks, f)
	d.say(ifNot)
}

func (k Key) facts(w in) (f facts) {
	if name := (foreign{k.Name, maxName}).String(); name != "" {
		f.add(w.say("Name", "이름"), name)
	}
	if len(k.Scopes) > 0 {
		scope := fact{name: w.say("May", "권한")}
		for _, s := range k.Scopes {
			scope.value = append(scope.value, upper(w.word(scopes, s)))
		}
		f = append(f, scope)
	}
	boards := fact{name: w.say("Boards", "점수판"), value: []string{w.say("All of yours", "회원님의 모든 점수판")}}
	if len(k.Boards) > 0 {
		boards.value = nil
	}
	for i, b := range k.Boards {
		if i == maxTop {
			boards.value = append(boards.value, w.say("and %s more", "외 %s개", digits(uint64(len(k.Boards)-i))))
			break
		}
		boards.value = append(boards.value, foreign{b, maxName}.String())
	}
	f = append(f, boards)
	expires := w.say("Never", "없음")
	if !k.Expires.IsZero() {
		expires = w.when(k.Expires)
	}
	f.add(w.say("Expires", "만료"), expires)
	return f
}
