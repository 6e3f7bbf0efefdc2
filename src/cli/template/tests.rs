//! # Claims about templates
//!
//! Every line of [`FACTS`] was observed with Docker's own client (28.2.2) against a real engine: the template, and what it
//! printed or why it was refused.

use super::{MissingKey, Template, Value, functions::Set, shapes};
use proptest::prelude::*;
use serde_json::json;

/// A container, cut down.
fn raw() -> serde_json::Value {
    json!({
        "Id": "16bad8801e63", "Name": "/web", "Created": "2026-11-27T10:26:24Z",
        "State": {"Status": "running", "Running": true, "Paused": false, "Restarting": false, "OOMKilled": false,
                  "Dead": false, "Pid": 13452, "ExitCode": 0, "Error": "", "StartedAt": "2026-11-27T10:26:24Z",
                  "FinishedAt": "0001-01-01T00:00:00Z"},
        "Config": {"Env": ["PATH=/bin"], "Cmd": ["sleep", "1"], "Image": "alpine", "Labels": {"a": "b", "c": "d"}},
        "HostConfig": {"NetworkMode": "none", "PortBindings": {}, "Binds": null, "Memory": 67108864},
        "Mounts": [],
        "NetworkSettings": {"Ports": {"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}]},
                            "Networks": {"none": {"NetworkID": "n", "IPAddress": ""}}}
    })
}

fn typed() -> Value {
    shapes::object(&shapes::container::CONTAINER, &raw())
}

/// What `docker inspect -f` does: over the struct, then over the raw JSON.
fn inspect(template: &str) -> Result<String, String> {
    let template = Template::parse(template).map_err(|fault| fault.text)?;
    if let Ok(text) = template.render(&typed()) {
        return Ok(text);
    }
    template.render_with(&Value::raw(&raw()), MissingKey::Error, Set::Values).map_err(|fault| fault.text)
}

const FACTS: &[(&str, Result<&str, &str>)] = &[
    ("{{.State}}", Ok("{running true false false false false 13452 0  2026-11-27T10:26:24Z 0001-01-01T00:00:00Z <nil>}")),
    (
        "{{1000000.0}} {{123456.0}} {{1234567.5}} {{0.00001}} {{1e21}} {{1e3}} {{0x1F}} {{017}} {{0b11}} {{1_000}} {{1.0}} {{-5}} {{+5}}",
        Ok("1e+06 123456 1.2345675e+06 1e-05 1e+21 1000 31 15 3 1000 1 -5 5"),
    ),
    ("{{'a'}}", Ok("97")),
    ("{{range 3}}{{.}} {{end}}", Ok("0 1 2 ")),
    ("{{range $i, $v := .Config.Env}}{{$i}}={{$v}};{{end}}", Ok("0=PATH=/bin;")),
    ("{{range $k, $v := .Config.Labels}}{{$k}}={{$v}};{{end}}", Ok("a=b;c=d;")),
    ("{{range .Name}}{{.}}{{end}}", Err("template: :1:8: executing \"\" at <.Name>: range can't iterate over /web")),
    ("{{with .Foo}}x{{else}}y{{end}}", Err("template: :1:7: executing \"\" at <.Foo>: map has no entry for key \"Foo\"")),
    ("{{if .State.Health}}x{{else}}y{{end}}", Ok("y")),
    ("{{- /* c */ -}}  a  {{- \" b \" -}} c", Ok("a b c")),
    ("{{define \"x\"}}[{{.}}]{{end}}{{template \"x\" .Name}}", Ok("[/web]")),
    ("{{template \"y\"}}", Err("template: :1:11: executing \"\" at <{{template \"y\"}}>: template \"y\" not defined")),
    ("{{block \"z\" .Name}}<{{.}}>{{end}}", Ok("</web>")),
    ("{{print 1 2 \"a\" \"b\" 3 true nil}}", Ok("1 2ab3 true <nil>")),
    ("{{println 1 \"x\"}}", Ok("1 x\n")),
    (
        "{{printf \"%v %v\" 1}} {{printf \"%d\" \"x\"}} {{printf \"%z\" 1}} {{printf \"%\"}} {{printf \"a\" 1 \"b\"}} {{printf \"%s\" 5}} {{printf \"%d\" true}} {{printf \"%!\"}}",
        Ok(
            "1 %!v(MISSING) %!d(string=x) %!z(int=1) %!(NOVERB) a%!(EXTRA int=1, string=b) %!s(int=5) %!d(bool=true) %!!(MISSING)",
        ),
    ),
    (
        "{{printf \"%[2]d %[1]d\" 1 2}} {{printf \"%*d\" 5 1}} {{printf \"%-*d|\" 5 1}} {{printf \"%[3]d\" 1}} {{printf \"%.2f %8.3f %e %g %G\" 3.14159 2.5 1234.5 1e10 1e-10}}",
        Ok("2 1     1 1    | %!d(BADINDEX) 3.14    2.500 1.234500e+03 1e+10 1E-10"),
    ),
    (
        "{{printf \"%05d|%+d|% d|%x|%X|%#x|%o|%#o|%b|%c|%q|%U|%O\" 42 42 42 255 255 255 8 8 5 65 65 65 8}}",
        Ok("00042|+42| 42|ff|FF|0xff|10|010|101|A|'A'|U+0041|0o10"),
    ),
    (
        "{{printf \"%s|%10s|%-10s|%.2s|%q|%x|% x|%X|%#q|%+q\" \"abc\" \"abc\" \"abc\" \"abc\" \"a\\\"b\" \"abc\" \"abc\" \"abc\" \"abc\" \"é\"}}",
        Ok("abc|       abc|abc       |ab|\"a\\\"b\"|616263|61 62 63|616263|`abc`|\"\\u00e9\""),
    ),
    (
        "{{printf \"%v|%s|%d|%q|%#v|%T\" .Config.Env .Config.Env .Config.Env .Config.Env .Config.Env .Config.Env}}",
        Ok("[PATH=/bin]|[PATH=/bin]|[%!d(string=PATH=/bin)]|[\"PATH=/bin\"]|[]string{\"PATH=/bin\"}|[]string"),
    ),
    (
        "{{printf \"%+v\" .State}}",
        Ok(
            "&{Status:running Running:true Paused:false Restarting:false OOMKilled:false Dead:false Pid:13452 ExitCode:0 Error: StartedAt:2026-11-27T10:26:24Z FinishedAt:0001-01-01T00:00:00Z Health:<nil>}",
        ),
    ),
    (
        "{{printf \"%T %T %T %T %T %T %T\" .State .Config.Labels .Mounts 1 \"a\" true nil}}",
        Ok("*container.State map[string]string []container.MountPoint int string bool <nil>"),
    ),
    (
        "{{printf \"%d %q\" .Config.Labels .Config.Labels}}",
        Ok("map[%!d(string=a):%!d(string=b) %!d(string=c):%!d(string=d)] map[\"a\":\"b\" \"c\":\"d\"]"),
    ),
    ("{{printf \"%v %s %d\" .Config.Labels.zz .Config.Labels.zz .Config.Labels.zz}}", Ok("<nil> %!s(<nil>) %!d(<nil>)")),
    (
        "{{upper .State.Pid}}",
        Err("template: :1:14: executing \"\" at <.State.Pid>: wrong type for value; expected string; got json.Number"),
    ),
    ("{{upper 5}}", Err("template: :1:8: executing \"\" at <5>: expected string; found 5")),
    ("{{upper}}", Err("template: :1:2: executing \"\" at <upper>: wrong number of args for upper: want 1 got 0")),
    ("{{upper \"a\" \"b\"}}", Err("template: :1:2: executing \"\" at <upper>: wrong number of args for upper: want 1 got 2")),
    (
        "{{split \"a,b,c\" \",\"}} {{join (split \"a,b\" \",\") \"+\"}} {{title \"hello world\"}} {{lower \"ABC\"}} {{pad \"x\" 2 3}}| {{truncate \"hello\" 2}}",
        Ok("[a b c] a+b Hello World abc   x   | he"),
    ),
    (
        "{{truncate \"hello\" -1}}",
        Err(
            "template: :1:2: executing \"\" at <truncate \"hello\" -1>: error calling truncate: runtime error: slice bounds out of range [:-1]",
        ),
    ),
    (
        "{{pad \"x\" -1 0}}",
        Err("template: :1:2: executing \"\" at <pad \"x\" -1 0>: error calling pad: strings: negative Repeat count"),
    ),
    (
        "{{join .Config.Env \" \"}} {{join .Mounts \",\"}}",
        Err("template: :1:14: executing \"\" at <.Config.Env>: wrong type for value; expected []string; got []interface {}"),
    ),
    (
        "{{json .Config.Env}} {{json .Config.Labels}} {{json \"<a&b>\"}} {{json nil}} {{json 1.5}} {{json 1e21}} {{json .State.Pid}}",
        Ok("[\"PATH=/bin\"] {\"a\":\"b\",\"c\":\"d\"} \"<a&b>\" null 1.5 1e+21 13452"),
    ),
    (
        "{{index .Config.Env 10}}",
        Err("template: :1:2: executing \"\" at <index .Config.Env 10>: error calling index: index out of range: 10"),
    ),
    (
        "{{index .Config.Labels \"a\"}} {{.Config.Labels.a}} {{.Config.Labels.zz}} {{index .Config.Labels \"zz\"}}",
        Ok("b b <no value> "),
    ),
    (
        "{{index .Config.Labels 1}}",
        Err(
            "template: :1:2: executing \"\" at <index .Config.Labels 1>: error calling index: value has type int; should be string",
        ),
    ),
    ("{{index .State \"Pid\"}} {{index \"abc\" 1}}", Ok("13452 98")),
    ("{{len .Config.Env}} {{len .Name}} {{len .State}}", Ok("1 4 11")),
    ("{{len 5}}", Err("template: :1:2: executing \"\" at <len 5>: error calling len: len of type int")),
    (
        "{{len nil}}",
        Err(
            "template: :1:2: executing \"\" at <len nil>: error calling len: reflect: call of reflect.Value.Type on zero Value",
        ),
    ),
    ("{{slice \"abcdef\" 1}} {{slice \"abcdef\" 2 4}} {{slice .Config.Env 0 1}}", Ok("bcdef cd [PATH=/bin]")),
    (
        "{{slice \"abc\" 5}}",
        Err("template: :1:2: executing \"\" at <slice \"abc\" 5>: error calling slice: index out of range: 5"),
    ),
    (
        "{{slice \"abc\" 2 1}}",
        Err("template: :1:2: executing \"\" at <slice \"abc\" 2 1>: error calling slice: invalid slice index: 2 > 1"),
    ),
    (
        "{{slice \"abc\" 1 2 3}}",
        Err("template: :1:2: executing \"\" at <slice \"abc\" 1 2 3>: error calling slice: cannot 3-index slice a string"),
    ),
    ("{{eq 1 1.0}}", Err("template: :1:2: executing \"\" at <eq 1 1.0>: error calling eq: incompatible types for comparison")),
    (
        "{{eq 1 2 3 1}} {{ne \"a\" \"b\"}} {{lt 1 2}} {{le 2 2}} {{gt \"b\" \"a\"}} {{ge 1.5 2.5}} {{eq true true}} {{eq nil nil}}",
        Ok("true true true true true false true true"),
    ),
    (
        "{{eq .Config.Env .Config.Env}}",
        Err(
            "template: :1:2: executing \"\" at <eq .Config.Env .Config.Env>: error calling eq: non-comparable type [PATH=/bin]: []interface {}",
        ),
    ),
    (
        "{{lt true false}}",
        Err("template: :1:2: executing \"\" at <lt true false>: error calling lt: invalid type for comparison"),
    ),
    (
        "{{lt 1 \"a\"}}",
        Err("template: :1:2: executing \"\" at <lt 1 \"a\">: error calling lt: incompatible types for comparison"),
    ),
    ("{{eq 1}}", Err("template: :1:2: executing \"\" at <eq 1>: error calling eq: missing argument for comparison")),
    ("{{lt 1}}", Err("template: :1:2: executing \"\" at <lt>: wrong number of args for lt: want 2 got 1")),
    ("{{and 1 0 2}} {{or 0 \"\" \"x\"}} {{not 0}}", Ok("0 x true")),
    ("{{and}}", Err("template: :1:2: executing \"\" at <and>: wrong number of args for and: want at least 1 got 0")),
    (
        "{{and true (index .Config.Env 99)}}",
        Err("template: :1:12: executing \"\" at <index .Config.Env 99>: error calling index: index out of range: 99"),
    ),
    ("{{or true (index .Config.Env 99)}}", Ok("true")),
    ("{{$x := 5}}{{$x = \"a\"}}{{$x}} {{$.Name}} {{with $n := .Name}}{{$n}}{{end}}", Ok("a /web /web")),
    ("{{$y}}", Err("template: :1: undefined variable \"$y\"")),
    ("{{.Name | printf \"%s-%s\" \"a\" | upper}}", Ok("A-/WEB")),
    ("{{\"a\" | 5}}", Err("template: :1: non executable command in pipeline stage 2")),
    ("{{5 | upper}}", Err("template: :1:6: executing \"\" at <upper>: wrong type for value; expected string; got int")),
    ("{{.Name 1}}", Err("template: :1:2: executing \"\" at <.Name>: Name is not a method but has arguments")),
    ("{{\"a\" \"b\"}}", Err("template: :1:2: executing \"\" at <\"a\">: can't give argument to non-function \"a\"")),
    ("{{nil}}", Err("template: :1:2: executing \"\" at <nil>: nil is not a command")),
    (
        "{{(index .Mounts 0).Source}}",
        Err("template: :1:3: executing \"\" at <index .Mounts 0>: error calling index: reflect: slice index out of range"),
    ),
    ("{{(.State).Pid}} {{(len .Name)}}", Ok("13452 4")),
    ("{{break}}", Err("template: :1: {{break}} outside {{range}}")),
    ("{{range .Config.Env}}{{break}}{{end}}ok {{range 5}}{{if eq . 2}}{{continue}}{{end}}{{.}}{{end}}", Ok("ok 0134")),
    ("{{else}}", Err("template: :1: unexpected {{else}}")),
    ("{{end}}", Err("template: :1: unexpected {{end}}")),
    ("{{if}}", Err("template: :1: missing value for if")),
    ("{{if true}}a{{else}}b{{else}}c{{end}}", Err("template: :1: expected end; found {{else}}")),
    ("{{if true}}a{{else if false}}b{{else}}c{{end}}", Ok("a")),
    ("{{range .Config.Env}}{{else with}}{{end}}", Err("template: :1: unexpected <with> in input")),
    ("{{range .Mounts}}", Err("template: :1: unexpected EOF")),
    ("a\nb {{.Foo\n}}", Err("template: :2:4: executing \"\" at <.Foo>: map has no entry for key \"Foo\"")),
    ("a\nb {{ \"x\n}}", Err("template: :2: unterminated quoted string")),
    ("{{\"abc}}", Err("template: :1: unterminated quoted string")),
    ("{{`abc}}", Err("template: :1: unterminated raw quoted string")),
    ("{{'ab'}}", Err("template: :1: malformed character constant: 'ab'")),
    ("{{3abc}}", Err("template: :1: bad number syntax: \"3a\"")),
    ("{{.", Err("template: :1: illegal number syntax: \".\"")),
    ("{{", Err("template: :1: unclosed action")),
    ("{{.a!}}", Err("template: :1: bad character U+0021 '!'")),
    ("{{a!b}}", Err("template: :1: bad character U+0021 '!'")),
    ("{{é}}", Err("template: :1: function \"é\" not defined")),
    ("{{(1}}", Err("template: :1: unclosed left paren")),
    ("{{1)}}", Err("template: :1: unexpected right paren")),
    ("{{()}}", Err("template: :1: missing value for parenthesized pipeline")),
    ("{{|}}", Err("template: :1: unexpected \"|\" in command")),
    ("{{1 |}}", Ok("1")),
    ("{{\"a\".b}}", Err("template: :1: unexpected . after term \"\\\"a\\\"\"")),
    ("{{template}}", Err("template: :1: unexpected \"}}\" in template clause")),
    ("{{template 1}}", Err("template: :1: unexpected \"1\" in template clause")),
    ("{{define \"x\"}}", Err("template: :1: unexpected EOF")),
    ("{{define x}}{{end}}", Err("template: :1: unexpected \"x\" in define clause")),
    ("{{if true}}{{define \"x\"}}{{end}}{{end}}", Err("template: :1: unexpected <define> in command")),
    ("{{$a, $b := 1}}", Err("template: :1: too many declarations in command")),
    ("{{range $a, $b, $c := .Config.Env}}{{end}}", Err("template: :1: too many declarations in range")),
    ("{{range $a, 1 := .Config.Env}}{{end}}", Err("template: :1: range can only initialize variables")),
    ("{{x = 1}}", Err("template: :1: function \"x\" not defined")),
    ("{{$x = 1}}", Err("template: :1:7: executing \"\" at <1>: undefined variable: $x")),
    ("{{/* a", Err("template: :1: unclosed comment")),
    ("{{/* a */ b}}", Err("template: :1: comment ends before closing delimiter")),
    ("{{call 1}}", Err("template: :1:2: executing \"\" at <call 1>: error calling call: non-function 1 of type int")),
    (
        "{{html \"<a href=\\\"x\\\">&'\"}} {{js \"<a>\\n\\\"é\"}} {{urlquery \"a/b?c d&é\"}}",
        Ok("&lt;a href=&#34;x&#34;&gt;&amp;&#39; \\u003Ca\\u003E\\u000A\\\"é a%2Fb%3Fc+d%26%C3%A9"),
    ),
    (
        "{{.State.Running.Foo}}",
        Err("template: :1:8: executing \"\" at <.State.Running.Foo>: can't evaluate field Foo in type interface {}"),
    ),
    (
        "{{.Name.Foo.Bar}}",
        Err("template: :1:7: executing \"\" at <.Name.Foo.Bar>: can't evaluate field Foo in type interface {}"),
    ),
    ("{{upper .HostConfig.NetworkMode}}", Ok("NONE")),
    (
        "{{.State.Health.Status}}",
        Err("template: :1:8: executing \"\" at <.State.Health.Status>: map has no entry for key \"Health\""),
    ),
    ("{{printf}}", Err("template: :1:2: executing \"\" at <printf>: wrong number of args for printf: want at least 1 got 0")),
    ("{{printf 5}}", Err("template: :1:9: executing \"\" at <5>: expected string; found 5")),
    ("{{.Id}} {{.Name}}", Ok("16bad8801e63 /web")),
    ("{{range $p, $conf := .NetworkSettings.Ports}}{{$p}} -> {{(index $conf 0).HostPort}}{{end}}", Ok("80/tcp -> 8080")),
    ("{{.NetworkSettings.Networks.zz.IPAddress}}|{{.NetworkSettings.Networks.none.NetworkID}}", Ok("<no value>|n")),
    (
        "{{json .HostConfig.Binds}} {{.HostConfig.Binds}} {{.HostConfig.OomKillDisable}} {{.HostConfig.PortBindings}}",
        Ok("null [] <nil> map[]"),
    ),
    ("{{.HostConfig.Memory}} {{.HostConfig.CPUShares}} {{.Config.Cmd}}", Ok("67108864 0 [sleep 1]")),
    (
        "{{json .State}}",
        Ok(
            "{\"Status\":\"running\",\"Running\":true,\"Paused\":false,\"Restarting\":false,\"OOMKilled\":false,\"Dead\":false,\"Pid\":13452,\"ExitCode\":0,\"Error\":\"\",\"StartedAt\":\"2026-11-27T10:26:24Z\",\"FinishedAt\":\"0001-01-01T00:00:00Z\"}",
        ),
    ),
];

#[test]
fn templates_do_what_dockers_own_client_does() {
    let mut wrong = Vec::new();
    for (template, wanted) in FACTS {
        let got = inspect(template);
        let same = match (&got, wanted) {
            (Ok(got), Ok(wanted)) => got == wanted,
            (Err(got), Err(wanted)) => got == wanted,
            _ => false,
        };
        if !same {
            wrong.push(format!("{template}\n   got    {got:?}\n   wanted {wanted:?}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {} differ:\n{}", wrong.len(), FACTS.len(), wrong.join("\n"));
}

#[test]
fn a_template_cannot_eat_the_machine() {
    for greedy in [
        "{{$x := \"aaaaaaaaaaaaaaaa\"}}{{range 60}}{{$x = printf \"%s%s\" $x $x}}{{end}}",
        "{{$x := \"aaaaaaaaaaaaaaaa\"}}{{range 60}}{{$x = print $x $x}}{{end}}",
        "{{range 1000000000}}{{range 1000000000}}x{{end}}{{end}}",
        "{{define \"a\"}}{{template \"a\"}}{{end}}{{template \"a\"}}",
        "{{pad \"x\" 99999999999 0}}",
    ] {
        assert!(inspect(greedy).is_err(), "{greedy}");
    }
    assert!(inspect(&"(".repeat(100_000)).is_ok());
    assert!(inspect(&format!("{{{{{}", "(".repeat(100_000))).is_err());
    assert!(inspect(&"{{if true}}".repeat(100_000)).is_err());
    assert!(inspect(&format!("{}{}", "{{if true}}{{else if true}}".repeat(50_000), "{{end}}")).is_err());
    assert_eq!(inspect("{{printf \"%99999999999d\" 1}}").as_deref(), Ok("%!(BADWIDTH)1"));
}

const PIECES: &[&str] = &[
    "{{",
    "}}",
    "{{-",
    "-}}",
    " ",
    "\n",
    ".",
    ".Name",
    ".State",
    ".Config.Env",
    "$",
    "$x",
    "$i, $v",
    ":=",
    "=",
    "|",
    "(",
    ")",
    "if",
    "else",
    "end",
    "range",
    "with",
    "define",
    "template",
    "block",
    "break",
    "continue",
    "\"a\"",
    "`b`",
    "'c'",
    "1",
    "-2.5e3",
    "0x1F",
    "nil",
    "true",
    "printf",
    "\"%5.2f %[2]*d %q %x %+v %#v\"",
    "index",
    "slice",
    "len",
    "eq",
    "lt",
    "and",
    "or",
    "not",
    "json",
    "join",
    "split",
    "pad",
    "truncate",
    "html",
    "js",
    "urlquery",
    "print",
    "println",
    "/* c */",
    "é",
    "\u{0}",
    "{{end}}",
    "{{else}}",
    "{{.}}",
    "{{range .Config.Env}}",
    "{{if .Name}}",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases.max(2000), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_makes_it_panic(text in "\\PC{0,60}") {
        let _ = inspect(&text);
        let _ = inspect(&format!("{{{{{text}}}}}"));
    }

    #[test]
    fn no_heap_of_words_makes_it_panic(pieces in prop::collection::vec(prop::sample::select(PIECES), 0..30)) {
        let _ = inspect(&pieces.concat());
        let _ = inspect(&pieces.join(" "));
        let _ = inspect(&format!("{{{{{}}}}}", pieces.join(" ")));
    }

    #[test]
    fn quoting_and_unquoting_are_opposites(text in any::<String>()) {
        prop_assert_eq!(super::print::unquote(&super::print::quote(&text)), Some(text));
    }

    #[test]
    fn text_without_braces_is_itself(text in "[^{}]{0,80}") {
        prop_assert_eq!(inspect(&text), Ok(text));
    }
}

/// Observed with Docker's own client over a service and a config.
#[test]
fn lengths_of_time_and_bytes_are_what_they_are_to_docker() {
    let service = json!({"Spec": {
        "UpdateConfig": {"Parallelism": 1, "Delay": 90_000_000_000i64, "FailureAction": "pause", "Monitor": 5_000_000_000i64, "Order": "stop-first"},
        "TaskTemplate": {"RestartPolicy": {"Condition": "any", "Delay": 1_500_000_000}, "ContainerSpec": {"StopGracePeriod": 60_000_000_000i64,
            "Healthcheck": {"Test": ["CMD-SHELL", "true"], "Interval": 30_000_000_000i64}}}
    }});
    let config = json!({"Spec": {"Name": "c1", "Data": "aGVsbG8="}});
    let show = |shape, json: &serde_json::Value, text: &str| {
        Template::parse(text).expect(text).render(&shapes::object(shape, json)).map_err(|fault| fault.text)
    };
    for (text, wanted) in [
        ("{{.Spec.UpdateConfig}}", "{1 1m30s pause 5s 0 stop-first}"),
        ("{{json .Spec.UpdateConfig.Delay}}", "90000000000"),
        (
            "{{with .Spec.UpdateConfig}}{{printf \"%d %v %s %q %x %#v|%8s|%T\" .Delay .Delay .Delay .Delay .Delay .Delay .Delay .Delay}}{{end}}",
            "90000000000 1m30s 1m30s \"1m30s\" 316d333073 90000000000|   1m30s|time.Duration",
        ),
        (
            "{{eq .Spec.UpdateConfig.Delay 90000000000}} {{printf \"%f\" .Spec.UpdateConfig.Delay}}",
            "true %!f(time.Duration=90000000000)",
        ),
        ("{{.Spec.TaskTemplate.RestartPolicy.Delay}} {{.Spec.TaskTemplate.ContainerSpec.StopGracePeriod}}", "1.5s 1m0s"),
        ("{{.Spec.TaskTemplate.ContainerSpec.Healthcheck}}", "{[CMD-SHELL true] 30s 0s 0s 0s 0}"),
        ("{{printf \"%T\" .Spec.TaskTemplate.ContainerSpec.Healthcheck}}", "*v1.HealthcheckConfig"),
    ] {
        assert_eq!(show(&shapes::swarm::SERVICE, &service, text).as_deref(), Ok(wanted), "{text}");
    }
    for (text, wanted) in [
        ("{{.Spec.Data}} {{.Spec}}", "[104 101 108 108 111] {{c1 map[]} [104 101 108 108 111] <nil>}"),
        (
            "{{json .Spec.Data}} {{len .Spec.Data}} {{index .Spec.Data 0}} {{slice .Spec.Data 1 3}}",
            "\"aGVsbG8=\" 5 104 [101 108]",
        ),
        (
            "{{with .Spec}}{{printf \"%s %q %x %X %d %#v %t\" .Data .Data .Data .Data .Data .Data .Data}}{{end}}",
            "hello \"hello\" 68656c6c6f 68656C6C6F [104 101 108 108 111] []byte{0x68, 0x65, 0x6c, 0x6c, 0x6f} [%!t(uint8=104) %!t(uint8=101) %!t(uint8=108) %!t(uint8=108) %!t(uint8=111)]",
        ),
        ("{{range $i, $b := .Spec.Data}}{{$i}}={{$b}} {{end}}", "0=104 1=101 2=108 3=108 4=111 "),
        (
            "{{with .Spec}}{{printf \"%10s|%-10s|%.2s|% x|%#x|%T\" .Data .Data .Data .Data .Data .Data}}{{end}}",
            "     hello|hello     |he|68 65 6c 6c 6f|0x68656c6c6f|[]uint8",
        ),
    ] {
        assert_eq!(show(&shapes::swarm::CONFIG, &config, text).as_deref(), Ok(wanted), "{text}");
    }
}
