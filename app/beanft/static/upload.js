// Uploads with progress, and by dropping a file; without JavaScript the form is a plain one.
const card = document.getElementById("upload");
const form = card?.querySelector("[data-drop]");

function element(name) {
  return card.querySelector(`[data-${name}]`);
}

function megabytes(count) {
  return `${(count / 1e6).toFixed(1)} MB`;
}

function complain(messages) {
  const note = document.createElement("div");
  note.className = "note bad";
  note.setAttribute("role", "alert");
  for (const message of messages) {
    const line = document.createElement("p");
    line.textContent = message;
    note.append(line);
  }
  element("problems").replaceChildren(...(messages.length ? [note] : []));
}

function busy(yes) {
  element("sending").hidden = !yes;
  form.querySelector("button:not([type])").disabled = yes;
  form.querySelector("[type=file]").disabled = yes;
}

function problemsOf(request) {
  try {
    const { problems } = JSON.parse(request.responseText);
    if (problems?.length) return problems;
  } catch {
    // An error page: its status says enough.
  }
  if (request.status === 401) return ["You are logged out. Log in, then upload the file again."];
  if (request.status === 413) return [`The file is larger than ${card.dataset.mostSaid}. Send a smaller one.`];
  if (request.status === 503) return ["The site is busy or being updated. Try again in a few seconds."];
  return ["The file could not be uploaded. Reload the page and try again."];
}

function send(file) {
  complain([]);
  if (file.size > Number(card.dataset.most)) {
    complain([`The file has ${megabytes(file.size)}; ${card.dataset.mostSaid} are allowed.`]);
    return;
  }
  const bar = element("sending").querySelector("progress");
  const said = element("said");
  const body = new FormData(form);
  body.set("file", file, file.name);
  const request = new XMLHttpRequest();
  request.open("POST", form.action);
  request.setRequestHeader("Accept", "application/json");
  request.upload.addEventListener("progress", (event) => {
    if (!event.lengthComputable) return;
    bar.value = (100 * event.loaded) / event.total;
    said.textContent = `${megabytes(event.loaded)} of ${megabytes(event.total)} sent`;
  });
  request.upload.addEventListener("load", () => {
    bar.removeAttribute("value");
    said.textContent = "Sent. Looking at what it holds.";
  });
  request.addEventListener("load", () => {
    if (request.status === 201) {
      location.assign(JSON.parse(request.responseText).location);
      return;
    }
    busy(false);
    complain(problemsOf(request));
  });
  request.addEventListener("error", () => {
    busy(false);
    complain(["The connection broke. Upload the file again."]);
  });
  request.addEventListener("abort", () => busy(false));
  element("cancel").onclick = () => request.abort();
  bar.value = 0;
  said.textContent = `Sending ${file.name}`;
  busy(true);
  request.send(body);
}

if (form) {
  element("script").hidden = false;
  form.addEventListener("submit", (event) => {
    const [file] = form.querySelector("[type=file]").files;
    if (!file) return;
    event.preventDefault();
    send(file);
  });
  for (const name of ["dragenter", "dragover"]) {
    form.addEventListener(name, (event) => {
      event.preventDefault();
      form.classList.add("over");
    });
  }
  form.addEventListener("dragleave", (event) => {
    if (!form.contains(event.relatedTarget)) form.classList.remove("over");
  });
  form.addEventListener("drop", (event) => {
    event.preventDefault();
    form.classList.remove("over");
    const files = event.dataTransfer.files;
    if (files.length === 1) send(files[0]);
    else complain(["Drop one file."]);
  });
}
