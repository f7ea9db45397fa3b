package letter

import (
	"strings"

	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"
)

type node = g.Node

// The styles stand in the elements, because some mail clients drop the head. What is
// in the head changes them where it can: dark colors.
const (
	font = "font-family:-apple-system,BlinkMacSystemFont,Segoe UI,Roboto,Apple SD Gothic Neo,Malgun Gothic,Noto Sans KR,Noto Sans CJK KR,Helvetica,Arial,sans-serif;"
	ink  = "color:#1f2328;"
	dim  = "color:#57606a;"
	rule = "border-bottom:1px solid #d8dee4;"
	body = "font-size:15px;line-height:1.5;"

	dark = `@media (prefers-color-scheme:dark){` +
		`.page{background-color:#0d1117!important}` +
		`.card{background-color:#161b22!important;border-color:#30363d!important}` +
		`.ink{color:#e6edf3!important}` +
		`.dim{color:#9da7b3!important}` +
		`.rule{border-color:#30363d!important}` +
		`.mine{background-color:#1c2f4a!important}` +
		`.link{color:#79b8ff!important}` +
		`.button{background-color:#1f6feb!important}}`
)

func (d doc) layHTML() string {
	var b strings.Builder
	page := g.Group{
		g.Raw("<!doctype html>"),
		h.HTML(h.Lang(d.lang), h.Dir("ltr"),
			h.Head(
				h.Meta(h.Charset("utf-8")),
				h.Meta(h.Name("viewport"), h.Content("width=device-width,initial-scale=1")),
				h.Meta(h.Name("color-scheme"), h.Content("light dark")),
				h.Meta(h.Name("supported-color-schemes"), h.Content("light dark")),
				h.Meta(h.Name("format-detection"), h.Content("telephone=no,date=no,address=no,email=no,url=no")),
				h.Meta(h.Name("x-apple-disable-message-reformatting")),
				h.TitleEl(g.Text(d.subject)),
				h.StyleEl(g.Raw(":root{color-scheme:light dark}"+dark)),
			),
			h.Body(h.Class("page"), h.Style("margin:0;padding:0;background-color:#f6f8fa;-webkit-text-size-adjust:100%;text-size-adjust:100%"),
				grid("presentation", "page", "background-color:#f6f8fa",
					h.Tr(h.Td(g.Attr("align", "center"), h.Style("padding:12px"),
						grid("presentation", "card", "max-width:560px;table-layout:fixed;border-collapse:separate;background-color:#ffffff;border:1px solid #d8dee4;border-radius:8px",
							h.Tr(h.Td(h.Style("padding:20px 16px;text-align:left;"+font+d.wrap()),
								h.H1(h.Class("ink"), h.Style("margin:0 0 16px;font-size:20px;line-height:1.35;font-weight:600;"+ink), g.Text(d.title)),
								g.Map(d.blocks, block.html),
							)),
						),
						h.Div(h.Class("dim"), h.Style("max-width:560px;margin:0 auto;padding:12px 16px;text-align:left;font-size:13px;line-height:1.5;"+font+d.wrap()+dim),
							g.Map(d.foot, func(s string) node { return h.P(h.Style("margin:0 0 4px"), g.Text(s)) }),
							g.If(d.stop.url != "", h.P(h.Style("margin:0"), d.stop.html("dim", "text-decoration:underline;"+dim))),
						),
					)),
				),
			),
		),
	}
	if err := page.Render(&b); err != nil {
		panic(err) // a strings.Builder takes everything
	}
	return b.String()
}

// wrap breaks long words without a place to break, such as 80 emoji, anywhere. Korean
// breaks between words, as people write it, not between any two letters.
func (d doc) wrap() string {
	if d.lang == "ko" {
		return "word-break:keep-all;word-wrap:break-word;overflow-wrap:anywhere;"
	}
	return "word-wrap:break-word;overflow-wrap:anywhere;"
}

// grid is a table over the whole width. With the role presentation it only places
// things, and screen readers do not call it a table.
func grid(role, class, style string, rows ...node) node {
	return h.Table(g.If(role != "", h.Role(role)), g.If(class != "", h.Class(class)), h.Width("100%"),
		g.Attr("cellpadding", "0"), g.Attr("cellspacing", "0"), g.Attr("border", "0"), h.Style("width:100%;"+style), g.Group(rows))
}

func (p para) html() node {
	return h.P(h.Class("ink"), h.Style("margin:0 0 16px;"+body+ink), g.Text(string(p)))
}

func (l link) html(class, style string) node {
	return h.A(h.Href(l.url), h.Class(class), h.Style(style), g.Text(l.words))
}

func (b button) html() node {
	return g.Group{
		h.P(h.Style("margin:0 0 12px"), b.link.html("button",
			"display:inline-block;padding:12px 20px;border-radius:6px;background-color:#0b57d0;color:#ffffff;font-weight:600;text-decoration:none;"+body)),
		// For readers whose client shows no buttons.
		h.P(h.Style("margin:0 0 16px;font-size:13px;line-height:1.4;word-break:break-all"), link{b.url, b.url}.html("link", "color:#0b57d0")),
	}
}

func (f facts) html() node {
	rows, last := g.Group{}, len(f)-1
	for i, f := range f {
		weight, line, class := "", rule, " rule"
		if f.main {
			weight = "font-weight:600;"
		}
		if i == last {
			line, class = "", ""
		}
		rows = append(rows, h.Tr(
			h.Th(h.Scope("row"), h.Class("dim"+class), h.Width("30%"), h.Style("width:30%;padding:8px 8px 8px 0;text-align:left;vertical-align:top;font-weight:400;font-size:14px;line-height:1.5;"+dim+line), g.Text(f.name)),
			h.Td(h.Class("ink"+class), h.Style("padding:8px 0;vertical-align:top;"+body+weight+ink+line), stacked(f.value), small(f.of)),
		))
	}
	return grid("", "", "table-layout:fixed;border-collapse:collapse;margin:0 0 16px", h.TBody(rows))
}

// small shows a line below another, with less weight.
func small(s string) node {
	return g.If(s != "", h.Div(h.Class("dim"), h.Style("font-size:13px;font-weight:400;"+dim), g.Text(s)))
}

// stacked shows lines below each other.
func stacked(lines []string) node {
	all := g.Group{}
	for i, s := range lines {
		if i > 0 {
			all = append(all, h.Br())
		}
		all = append(all, g.Text(s))
	}
	return all
}

func (t table) html() node {
	last := len(t.head) - 1
	align := func(i int) string {
		switch {
		case i == last:
			return "width:32%;text-align:right;padding:8px 4px 8px 8px;"
		case i == 0 && last > 1:
			return "width:16%;text-align:left;padding:8px 8px 8px 4px;"
		}
		return "text-align:left;padding:8px 8px 8px 4px;"
	}
	head := g.Group{}
	for i, name := range t.head {
		head = append(head, h.Th(h.Scope("col"), h.Class("dim rule"), h.Style(align(i)+"font-weight:400;font-size:13px;"+dim+rule), g.Text(name)))
	}
	rows := g.Map(t.rows, func(r row) node {
		style, class := "", "rule"
		if r.main {
			style, class = "font-weight:600;background-color:#ddf4ff;", "rule mine"
		}
		cells := g.Group{}
		for i, cell := range r.cells {
			cells = append(cells, h.Td(h.Class(class+" ink"), h.Style(align(i)+"vertical-align:top;"+body+style+ink+rule), cellHTML(cell)))
		}
		return h.Tr(cells)
	})
	return g.Group{
		h.H2(h.Class("ink"), h.Style("margin:0 0 4px;font-size:16px;line-height:1.4;font-weight:600;"+ink), g.Text(t.title)),
		grid("", "", "table-layout:fixed;border-collapse:collapse;margin:0 0 16px", h.THead(h.Tr(head)), h.TBody(rows)),
		g.If(t.more != "", h.P(h.Class("dim"), h.Style("margin:-8px 0 16px;"+body+dim), g.Text(t.more))),
	}
}

func cellHTML(lines []string) node {
	all := g.Group{}
	for i, s := range lines {
		if i == 0 {
			all = append(all, g.Text(s))
			continue
		}
		all = append(all, small(s))
	}
	return all
}
