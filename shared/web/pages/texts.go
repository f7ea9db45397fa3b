package pages

import (
	"fmt"

	"plaudit/shared/user"
)

// text is what the pages say in one language.
type text struct {
	lang, otherLang string
	name            string // of the language

	verify, verifyWhat, verifyIgnore, verifyButton string
	verified, closePage                            string

	reset, resetWhat, resetButton string
	password, passwordHint, again string
	differs                       string
	passwordFault                 map[string]string // by the details of package user
	passwordSet, passwordSetWhat  string

	invalid, invalidWhat string
	taken, takenWhat     string
	tooMany              string
	tooManyWhat          func(retryAfter string) string
	busy, busyWhat       string
	failed               string // all others
	openAgain, tryLater  string
	requestID            string
}

var texts = map[string]text{
	"en": {
		lang: "en", otherLang: "ko", name: "English",
		verify:       "Confirm your e-mail address",
		verifyWhat:   "Confirm that this address is yours and belongs to your account.",
		verifyIgnore: "If you did not ask for this mail, close this page. Somebody else may have entered your address.",
		verifyButton: "Confirm address",
		verified:     "Your address is confirmed",
		closePage:    "You can close this page.",

		reset:        "Choose a new password",
		resetWhat:    "Your new password logs you out on all devices.",
		resetButton:  "Set password",
		password:     "New password",
		passwordHint: "10 to 256 characters, for example a few words that only you would combine",
		again:        "New password, once more",
		differs:      "The two passwords differ. Enter the new password twice.",
		passwordFault: map[string]string{
			user.PasswordMissing:    "Enter a password.",
			user.PasswordLength:     "The password must have 10 to 256 characters.",
			user.PasswordCommon:     "This password is too common. Choose another, such as a few words that only you would combine.",
			user.PasswordOwnAddress: "The password must not be your e-mail address or the part before its @.",
		},
		passwordSet:     "Your password is set",
		passwordSetWhat: "You are logged out on all devices. Log in with the new password.",

		invalid:     "This link is not valid",
		invalidWhat: "It has been used, is too old, or is incomplete. Ask for another one, and use the link in the newest mail.",
		taken:       "This address has an account",
		takenWhat:   "Somebody has signed up with this address in the meantime, so your account keeps its present one.",
		tooMany:     "Too many attempts",
		tooManyWhat: func(retryAfter string) string {
			if n := minutes(retryAfter); n > 1 {
				return fmt.Sprintf("Too many requests came from your network. Open the link again in %d minutes.", n)
			}
			return "Too many requests came from your network. Open the link again in a minute."
		},
		busy:      "This does not work at the moment",
		busyWhat:  "Open the link again in a minute.",
		failed:    "Something went wrong",
		openAgain: "Open the link in the mail again.",
		tryLater:  "Open the link in the mail again later.",
		requestID: "Number of this request:",
	},
	"ko": {
		lang: "ko", otherLang: "en", name: "한국어",
		verify:       "이메일 주소 확인",
		verifyWhat:   "이 주소가 본인의 주소이며 본인 계정의 주소임을 확인해 주세요.",
		verifyIgnore: "이 메일을 요청하지 않으셨다면 이 페이지를 닫아 주세요. 다른 사람이 주소를 잘못 입력했을 수 있습니다.",
		verifyButton: "주소 확인",
		verified:     "주소가 확인되었습니다",
		closePage:    "이제 이 페이지를 닫으셔도 됩니다.",

		reset:        "새 비밀번호 설정",
		resetWhat:    "새 비밀번호를 설정하면 모든 기기에서 로그아웃됩니다.",
		resetButton:  "비밀번호 설정",
		password:     "새 비밀번호",
		passwordHint: "10자 이상 256자 이하로 입력해 주세요. 본인만 떠올릴 만한 단어 몇 개를 이어 쓰는 것이 좋습니다.",
		again:        "새 비밀번호 다시 입력",
		differs:      "두 비밀번호가 서로 다릅니다. 새 비밀번호를 두 번 똑같이 입력해 주세요.",
		passwordFault: map[string]string{
			user.PasswordMissing:    "비밀번호를 입력해 주세요.",
			user.PasswordLength:     "비밀번호는 10자 이상 256자 이하여야 합니다.",
			user.PasswordCommon:     "너무 흔한 비밀번호입니다. 본인만 떠올릴 만한 단어 몇 개를 이어 쓰는 등 다른 비밀번호를 사용해 주세요.",
			user.PasswordOwnAddress: "이메일 주소나 @ 앞부분은 비밀번호로 사용할 수 없습니다.",
		},
		passwordSet:     "비밀번호가 설정되었습니다",
		passwordSetWhat: "모든 기기에서 로그아웃되었습니다. 새 비밀번호로 로그인해 주세요.",

		invalid:     "유효하지 않은 링크입니다",
		invalidWhat: "이미 사용되었거나, 유효 시간이 지났거나, 일부가 빠진 링크입니다. 메일을 다시 요청한 뒤 가장 최근 메일의 링크를 사용해 주세요.",
		taken:       "이미 계정이 있는 주소입니다",
		takenWhat:   "그사이 다른 사람이 이 주소로 가입하여 계정의 주소가 변경되지 않았습니다.",
		tooMany:     "시도 횟수가 너무 많습니다",
		tooManyWhat: func(retryAfter string) string {
			return fmt.Sprintf("사용 중인 네트워크에서 너무 많은 요청이 들어왔습니다. %d분 후에 링크를 다시 열어 주세요.", minutes(retryAfter))
		},
		busy:      "지금은 처리할 수 없습니다",
		busyWhat:  "1분 후에 링크를 다시 열어 주세요.",
		failed:    "문제가 발생했습니다",
		openAgain: "메일에 있는 링크를 다시 열어 주세요.",
		tryLater:  "나중에 메일에 있는 링크를 다시 열어 주세요.",
		requestID: "요청 번호:",
	},
}
