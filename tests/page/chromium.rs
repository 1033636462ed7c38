//! A headless Chromium, driven by its `DevTools` protocol over a pipe: JSON messages, each ended by a zero byte.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

/// One browser with one page.
pub struct Page {
    child: Child,
    wire: RefCell<Wire>,
    _folder: tempfile::TempDir,
}

struct Wire {
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    number: u64,
    session: Option<String>,
    events: VecDeque<Value>,
}

impl Page {
    pub fn open() -> Self {
        let folder = tempfile::tempdir().unwrap();
        // The pipe is on the descriptors 3 and 4. It asks for nothing but the address of the test; root has no sandbox.
        let script = "exec chromium --headless=new --remote-debugging-pipe --no-sandbox --disable-dev-shm-usage --disable-gpu --no-first-run \
            --disable-background-networking --disable-component-update --disable-sync --disable-extensions \
            --host-resolver-rules='MAP * ~NOTFOUND , EXCLUDE 127.0.0.1' --user-data-dir=\"$0\" about:blank 3<&0 4>&1 </dev/null >/dev/null 2>&1";
        let mut child = Command::new("sh")
            .args(["-c", script])
            .arg(folder.path())
            .env("HOME", folder.path())
            .env("TZ", "UTC")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (input, output) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        let wire = Wire { input, output, number: 0, session: None, events: VecDeque::new() };
        let page = Self { child, wire: RefCell::new(wire), _folder: folder };
        let target = page.call("Target.createTarget", &json!({ "url": "about:blank" }));
        let attached = page.call("Target.attachToTarget", &json!({ "targetId": target["targetId"], "flatten": true }));
        page.wire.borrow_mut().session = Some(attached["sessionId"].as_str().unwrap().to_owned());
        for domain in ["Page", "Runtime", "Log", "Network", "Accessibility"] {
            page.call(&format!("{domain}.enable"), &json!({}));
        }
        page
    }

    /// A command and its result.
    pub fn call(&self, method: &str, parameters: &Value) -> Value {
        let mut wire = self.wire.borrow_mut();
        wire.number += 1;
        let number = wire.number;
        let mut message = json!({ "id": number, "method": method, "params": parameters });
        if let Some(session) = &wire.session {
            message["sessionId"] = session.as_str().into();
        }
        wire.input.write_all(format!("{message}\0").as_bytes()).unwrap();
        loop {
            let mut bytes = Vec::new();
            wire.output.read_until(0, &mut bytes).unwrap();
            assert_eq!(bytes.pop(), Some(0), "{method}: Chromium has ended");
            let mut reply: Value = serde_json::from_slice(&bytes).unwrap();
            if reply["id"] != number {
                wire.events.push_back(reply);
                continue;
            }
            assert!(reply.get("error").is_none(), "{method}: {reply}");
            return reply["result"].take();
        }
    }

    /// What an expression gives; promises are waited for.
    pub fn ask(&self, expression: &str) -> Value {
        let parameters = json!({ "expression": expression, "returnByValue": true, "awaitPromise": true });
        let mut result = self.call("Runtime.evaluate", &parameters);
        assert!(result.get("exceptionDetails").is_none(), "{expression}: {result}");
        result["result"]["value"].take()
    }

    /// Waits until an expression is true.
    pub fn wait_for(&self, expression: &str) {
        let begun = Instant::now();
        while self.ask(expression) != true {
            assert!(
                begun.elapsed() < Duration::from_secs(60),
                "never: {expression}; the page says: {}",
                self.ask("document.body.innerText")
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Loads an address for a screen of this size and scheme.
    pub fn load(&self, address: &str, width: u32, scheme: &str) {
        self.call(
            "Emulation.setDeviceMetricsOverride",
            &json!({ "width": width, "height": 900, "deviceScaleFactor": 1, "mobile": false }),
        );
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }, { "name": "prefers-reduced-motion", "value": "reduce" }]);
        self.call("Emulation.setEmulatedMedia", &json!({ "features": features }));
        self.wire.borrow_mut().events.clear();
        self.call("Page.navigate", &json!({ "url": address }));
        self.wait_for("document.readyState === 'complete' && location.href !== 'about:blank'");
    }

    pub fn press(&self, key: &str) {
        for kind in ["keyDown", "keyUp"] {
            self.call(
                "Input.dispatchKeyEvent",
                &json!({ "type": kind, "key": key, "code": key, "windowsVirtualKeyCode": if key == "Tab" { 9 } else { 13 } }),
            );
        }
    }

    /// The events of a kind since the last load.
    pub fn events(&self, method: &str) -> Vec<Value> {
        self.ask("0");
        let wire = self.wire.borrow();
        wire.events.iter().filter(|event| event["method"] == method).map(|event| event["params"].clone()).collect()
    }

    /// The whole page as a picture (PNG).
    pub fn picture(&self, width: u32, height: u32) -> Vec<u8> {
        let clip = json!({ "x": 0, "y": 0, "width": width, "height": height, "scale": 1 });
        let parameters = json!({ "format": "png", "captureBeyondViewport": true, "clip": clip });
        STANDARD.decode(self.call("Page.captureScreenshot", &parameters)["data"].as_str().unwrap()).unwrap()
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        // A browser that has ended already is none to end.
        _ = self.wire.borrow_mut().input.write_all(b"{\"id\":0,\"method\":\"Browser.close\"}\0");
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(10) && self.child.try_wait().ok().flatten().is_none() {
            std::thread::sleep(Duration::from_millis(50));
        }
        _ = self.child.kill();
        _ = self.child.wait();
    }
}
