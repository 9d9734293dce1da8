//! Any image: amikad is put in, and what the image says of itself holds.

use crate::support::{DEBIAN, NO_SHELL, SCRATCH, Stage, preset};

#[test]
fn an_image_whose_cmd_is_a_shell_stays_up() {
    let stage = Stage::new();
    let sandbox = stage.sandbox(DEBIAN, &[]);
    assert_eq!(sandbox.engine_state(), "running");
    let status = sandbox.inspect()["status"].clone();
    assert_eq!(status["pid"], 1);
    assert_eq!(status["cmd"]["argv0"], "bash");
    assert_eq!(status["services"]["opencode"]["state"], "off");
    assert_eq!(status["services"]["opencode"]["installed"], false);
}

#[test]
fn entrypoint_cmd_user_and_workdir_of_an_image_without_a_shell_hold() {
    let stage = Stage::new();
    let own = stage.sandbox(NO_SHELL, &[]);
    own.logs("ready");
    assert_eq!(own.inspect()["status"]["cmd"]["argv0"], "/app/probe");
    // CMD is replaced, ENTRYPOINT stays.
    let cwd = stage.sandbox(NO_SHELL, &["--", "cwd"]);
    cwd.logs("/app\n1234:1234\n");
    let print = stage.sandbox(NO_SHELL, &["--", "print", "a b", "", "-x"]);
    print.logs("a b\n\n-x\n");
    let exec = own.exec(&["/app/probe", "cwd"]).output();
    assert_eq!(
        exec.stdout_text(),
        "/home/amika/workspace\n1234:1234\n",
        "{exec:?}"
    );
}

#[test]
fn an_image_made_from_scratch_runs_with_nothing_but_its_program() {
    let stage = Stage::new();
    let sandbox = stage.sandbox(SCRATCH, &[]);
    sandbox.logs("ready");
    let cwd = stage.sandbox(SCRATCH, &["--", "/probe", "cwd"]);
    cwd.logs("/\n0:0\n");
    let exec = sandbox.exec(&["/probe", "print", "here"]).output();
    assert_eq!(
        (exec.code, exec.stdout.as_slice()),
        (0, b"here\n".as_slice()),
        "{exec:?}"
    );
    let status = sandbox.inspect()["status"].clone();
    assert_eq!(status["setup"]["state"], "absent");
    assert_eq!(status["services"]["opencode"]["state"], "off");
    assert_eq!(sandbox.inspect()["opencode"], serde_json::Value::Null);
}

#[test]
fn every_image_stops_quickly() {
    let stage = Stage::new();
    for image in [DEBIAN, NO_SHELL, SCRATCH] {
        let sandbox = stage.sandbox(image, &[]);
        let stopped = sandbox.verb("stop", &[]).output();
        stopped.ended(0, &[]);
        assert!(stopped.took.as_secs() < 5, "{image}: {stopped:?}");
    }
}

#[test]
fn a_user_of_any_form_is_the_one_that_cmd_runs_as() {
    let stage = Stage::new();
    for (user, told) in [
        ("4242", "4242:0"),
        ("4242:77", "4242:77"),
        ("worker", "1234:1235"),
        ("worker:daemon", "1234:1"),
        ("1234", "1234:1235"),
    ] {
        let image = stage.image(&format!(
            "FROM amika-test/debian\nRUN groupadd -g 1235 workers && useradd -u 1234 -g 1235 worker\nUSER {user}\nWORKDIR /srv/app\n"
        ));
        let cmd = "pwd; echo $(id -u):$(id -g) $HOME; touch $HOME/f && echo home-ok; exec cat";
        let sandbox = stage.sandbox(&image, &["--", "sh", "-c", cmd]);
        sandbox.logs(&format!("/srv/app\n{told} /home/amika\nhome-ok\n"));
        let exec = sandbox
            .exec(&[
                "sh",
                "-c",
                "pwd; echo $(id -u):$(id -g); touch file && rm file",
            ])
            .output();
        assert_eq!(
            (exec.code, exec.stdout_text()),
            (0, format!("/home/amika/workspace\n{told}\n")),
            "{user}: {exec:?}"
        );
    }
}

#[test]
fn a_user_that_the_image_does_not_have_is_told() {
    let stage = Stage::new();
    let image = stage.image("FROM amika-test/debian\nUSER nobody-here\n");
    let sandbox = stage.adopt(stage.name());
    let created = sandbox.create(&image, &[]);
    assert_ne!(created.code, 0, "{created:?}");
    let all = created.stderr_text() + &sandbox.log();
    assert!(all.contains("nobody-here"), "{all}");
}

#[test]
fn environment_entrypoint_and_stop_signal_of_an_image_hold() {
    let stage = Stage::new();
    let image = stage.image(
        "FROM amika-test/debian\nENV OF_IMAGE=kept OVER=image\nSTOPSIGNAL SIGQUIT\nENTRYPOINT [\"sh\", \"-c\", \"trap 'echo got-quit; exit 5' QUIT; echo $0 $1 $OF_IMAGE $OVER; while :; do sleep 0.1; done\"]\nCMD [\"zero\", \"one\"]\n",
    );
    let sandbox = stage.sandbox(&image, &["--env", "OVER=flag"]);
    sandbox.logs("zero one kept flag");
    sandbox.verb("stop", &[]).output().ended(0, &[]);
    assert!(sandbox.log().contains("got-quit"), "{}", sandbox.log());
    assert_eq!(sandbox.engine_says("{{.State.ExitCode}}"), "5");
}

#[test]
fn an_image_without_a_cmd_stays_up_until_it_is_told_to_stop() {
    let stage = Stage::new();
    let image = stage.image("FROM amika-test/noshell\nENTRYPOINT []\nCMD []\n");
    let sandbox = stage.sandbox(&image, &[]);
    assert_eq!(sandbox.inspect()["status"]["phase"], "running");
    let stopped = sandbox.verb("stop", &[]).output();
    stopped.ended(0, &[]);
    assert!(stopped.took.as_secs() < 5, "{stopped:?}");
}

#[test]
fn an_image_made_from_a_preset_has_the_presets_agent() {
    let stage = Stage::new();
    let base = preset(&stage);
    let image = stage.image(&format!("FROM {base}\nRUN touch /opt/ours\n"));
    let repository = stage.repository("repo", &[("file", "x")]);
    let off = ["--env", "AMIKA_OPENCODE_WEB=0", "--git", &repository];
    let own = [
        "--",
        "sh",
        "-c",
        "id -un; pwd; ls /opt/ours; exec sleep 1000",
    ];
    let sandbox = stage.sandbox(&image, &[&off[..], &own].concat());
    sandbox.logs("amika\n/home/amika/workspace/repo\n/opt/ours\n");
    let script = "id -un && echo y > file && git -c user.name=T -c user.email=t@example.org commit -qam second && \
                  git status --porcelain && { pgrep -c -P 1 amikad || true; }";
    let exec = sandbox.exec(&["sh", "-c", script]).output();
    // What amikad runs is no second one: that of the image is not wrapped once more. Others may be there for a moment, the
    // engine's health checks, but none of PID 1.
    assert_eq!(exec.stdout_text(), "amika\n0\n", "{exec:?}");
}
