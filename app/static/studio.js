// The few things that plain links, forms and htmx cannot do: copy, theme, live connections, sums.
"use strict";

(() => {
  // ---- copy with one click --------------------------------------------------------------------

  const reveal = (root) => {
    for (const button of root.querySelectorAll("[data-copy][hidden], [data-needs-script][hidden]")) {
      button.hidden = false;
    }
  };

  const copyText = async (text) => {
    if (navigator.clipboard && window.isSecureContext) {
      await navigator.clipboard.writeText(text);
      return;
    }
    const area = document.createElement("textarea");
    area.value = text;
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  };

  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-copy]");
    if (!button) return;
    const before = button.innerHTML;
    try {
      await copyText(button.dataset.copy);
      button.textContent = "Copied";
    } catch {
      button.textContent = "Select the text and copy it";
    }
    setTimeout(() => { button.innerHTML = before; }, 1600);
  });

  // ---- colours --------------------------------------------------------------------------------

  document.addEventListener("change", (event) => {
    const form = event.target.closest("[data-theme-form]");
    if (!form) return;
    document.documentElement.dataset.theme = event.target.value;
    fetch(form.action, { method: "POST", body: new URLSearchParams(new FormData(form)), redirect: "manual" });
  });

  // ---- tidy addresses: a filter that is not set is not in the URL ---------------------------------

  document.addEventListener("htmx:configRequest", (event) => {
    if (event.detail.verb !== "get" || !event.target.closest("form")) return;
    const parameters = event.detail.parameters;
    for (const key of Object.keys(parameters)) {
      if (parameters[key] === "") delete parameters[key];
    }
  });

  // An answer to what was chosen before must not take away what is chosen now: it waits no longer for it.
  document.addEventListener("change", (event) => {
    const form = event.target.closest("form[hx-get]");
    if (form) htmx.trigger(form, "htmx:abort");
  }, true); // before htmx asks for what is chosen now

  // A notice that an earlier request left behind says nothing about this one.
  document.addEventListener("htmx:beforeRequest", () => {
    const notice = document.getElementById("notice");
    if (notice) notice.replaceChildren();
  });
  document.addEventListener("htmx:sendError", (event) => {
    if (event.target.closest(".live")) return;
    say("The studio does not answer. This page may be out of date. Try again in a moment.");
  });

  const say = (text) => {
    const notice = document.getElementById("notice");
    if (!notice) return;
    const note = document.createElement("p");
    note.className = "note warn";
    note.textContent = text;
    notice.replaceChildren(note);
  };

  // ---- what is being sent cannot be sent twice -------------------------------------------------------

  const busy = (form, on) => {
    for (const button of form.elements) {
      if (button.type !== "submit") continue;
      if (on && !button.disabled) {
        button.setAttribute("aria-busy", "true");
        button.disabled = true;
      } else if (!on && button.getAttribute("aria-busy")) {
        button.removeAttribute("aria-busy");
        button.disabled = false;
      }
    }
  };
  const changes = (form) => form instanceof HTMLFormElement && form.method === "post";

  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (!changes(form) || event.defaultPrevented) return; // htmx sends it, and says so below
    if (form.dataset.sent) return event.preventDefault();
    form.dataset.sent = "yes";
    setTimeout(() => busy(form, true)); // after the browser took what the pressed button says
  });
  const sending = (event) => (event.detail.requestConfig?.verb === "get" ? null : event.detail.elt?.closest("form"));
  document.addEventListener("htmx:beforeSend", (event) => {
    const form = sending(event);
    if (form) busy(form, true);
  });
  document.addEventListener("htmx:afterRequest", (event) => {
    const form = sending(event);
    // Where the answer leads to another page, the form stays as it is until that page is there.
    if (form && !event.detail.xhr?.getResponseHeader("HX-Redirect")) busy(form, false);
  });
  // Numbers that come now do not put back a form that is being sent.
  document.addEventListener("htmx:oobBeforeSwap", (event) => {
    if (event.detail.target?.querySelector("[aria-busy=true]")) event.detail.shouldSwap = false;
  });
  window.addEventListener("pageshow", (event) => {
    if (!event.persisted) return; // a page that the browser kept is as it was left
    for (const form of document.querySelectorAll("form")) {
      delete form.dataset.sent;
      busy(form, false);
    }
  });

  // ---- the numbers of a plan come later: without them, say so -----------------------------------------

  const notCounted = (event) => {
    const card = event.target.closest("#verdict");
    const place = card?.querySelector("[data-counting]");
    if (!place || event.target !== card) return;
    place.textContent = "Not counted.";
    card.querySelector(".count-again").hidden = false;
  };
  // Nor does anybody wait for the numbers of a plan that was made again.
  document.addEventListener("htmx:beforeSwap", (event) => {
    const counting = document.getElementById("verdict");
    if (event.detail.target?.id === "plan" && counting) htmx.trigger(counting, "htmx:abort");
  });
  document.addEventListener("htmx:sendError", notCounted);
  document.addEventListener("htmx:responseError", notCounted);
  // The plan was made again by a button that is gone: whoever pressed it reads on at the verdict.
  document.addEventListener("htmx:afterSettle", (event) => {
    if (event.detail.target?.id === "plan" && document.activeElement === document.body) document.getElementById("verdict")?.focus();
  });

  // ---- live parts: events say that something changed, htmx asks for the piece, polling steps in -----

  const timers = new WeakMap();

  const poll = (live) => {
    if (timers.has(live)) return;
    const timer = setInterval(() => {
      if (!live.isConnected) {
        clearInterval(timer);
        return;
      }
      for (const part of live.querySelectorAll("[data-refresh]")) htmx.trigger(part, "refresh");
    }, 2000);
    timers.set(live, timer);
  };

  const state = (live, connection, text) => {
    live.dataset.connection = connection;
    const place = live.querySelector(".live-state");
    if (place && place.textContent !== text) place.textContent = text;
  };

  document.addEventListener("htmx:sseOpen", (event) => {
    const live = event.target.closest(".live");
    if (!live) return;
    state(live, "open", "Live");
    // The server ends the stream with the job; without this the browser would ask for it again.
    for (const name of ["done", "failed"]) {
      event.detail.source.addEventListener(name, () => event.detail.source.close());
    }
    clearInterval(timers.get(live));
    timers.delete(live);
    // What happened while nobody listened.
    for (const part of live.querySelectorAll("[data-refresh]")) htmx.trigger(part, "refresh");
  });

  document.addEventListener("htmx:sseError", (event) => {
    const live = event.target.closest(".live");
    if (!live || !live.isConnected) return;
    state(live, "lost", "Connection lost, retrying");
    poll(live);
  });

  // ---- what others change: a list asks again, a page that is being read says that it is old --------

  const everything = { kinds: ["artifact", "job", "audit", "webhook", "approval"], ids: [] };

  // Replacing a part would take the focus or the ticks away from whoever works in it.
  const inUse = (part) => part.contains(document.activeElement) || part.querySelector("input[name=id]:checked, input[data-all]:checked");

  // Another list took its place meanwhile: a filter, an order, another page, or a refresh that began before. That
  // one may not have what this answer has, so it asks again.
  document.addEventListener("htmx:beforeSwap", (event) => {
    const asked = event.detail.requestConfig?.elt;
    if (!asked?.hasAttribute("data-live") || asked.isConnected) return;
    event.detail.shouldSwap = false;
    for (const part of event.detail.target.querySelectorAll("[data-live]")) if (!inUse(part)) htmx.trigger(part, "refresh");
  });

  const outdated = () => {
    const place = document.getElementById("changed");
    if (!place || place.childElementCount) return;
    const note = document.createElement("p");
    note.className = "note warn";
    const link = document.createElement("a");
    link.href = location.href;
    link.textContent = "Show the present state";
    link.addEventListener("click", (event) => { event.preventDefault(); location.reload(); });
    note.append("This page is out of date. ", link);
    place.replaceChildren(note);
  };

  const arrived = ({ kinds, ids }) => {
    for (const part of document.querySelectorAll("[data-live]")) {
      if (!kinds.some((kind) => part.dataset.live.split(" ").includes(kind))) continue;
      if (part.dataset.id) {
        if (ids.length && !ids.includes(part.dataset.id)) continue;
        // Unsure after a gap, and what this page did itself, is no reason to alarm anybody.
        if (ids.length && !document.getElementById("seal-live")?.childElementCount) outdated();
      } else if (inUse(part)) {
        outdated();
      } else {
        htmx.trigger(part, "refresh");
      }
    }
  };

  const feed = document.querySelector("[data-feed]");
  let source = null;
  let fallback = 0;

  const heard = (text) => {
    if (feed.textContent !== text) feed.textContent = text;
    feed.classList.toggle("lost", text !== "Live");
  };

  const listen = () => {
    if (source || document.hidden) return;
    source = new EventSource(feed.dataset.feed);
    source.addEventListener("open", () => {
      heard("Live");
      if (fallback) arrived(everything);
      clearInterval(fallback);
      fallback = 0;
    });
    source.addEventListener("changed", (event) => arrived(JSON.parse(event.data)));
    source.addEventListener("error", () => {
      heard("Connection lost, retrying");
      fallback = fallback || setInterval(() => arrived(everything), 10000);
      if (source && source.readyState === EventSource.CLOSED) {
        source = null;
        setTimeout(listen, 3000);
      }
    });
  };

  const stop = () => {
    if (source) source.close();
    source = null;
  };

  if (feed) {
    // A browser gives one site six connections: a tab that nobody sees holds none.
    document.addEventListener("visibilitychange", () => {
      if (document.hidden) return stop();
      listen();
      arrived(everything);
    });
    window.addEventListener("pagehide", stop);
    window.addEventListener("pageshow", (event) => {
      listen();
      if (event.persisted) arrived(everything);
    });
  }

  // An elapsed time that runs on between two events.
  setInterval(() => {
    for (const clock of document.querySelectorAll("[data-since]")) {
      const seconds = (Date.now() - Date.parse(clock.dataset.since)) / 1000;
      if (seconds >= 0) clock.textContent = words(seconds);
    }
  }, 250);

  const words = (seconds) => {
    if (seconds < 10) return `${seconds.toFixed(1)} s`;
    if (seconds < 60) return `${Math.round(seconds)} s`;
    const whole = Math.round(seconds);
    if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
    return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
  };

  // ---- a download begins by itself when its page opens -------------------------------------------

  const start = (root) => {
    const link = root.querySelector("a[data-start]");
    if (!link) return;
    delete link.dataset.start;
    link.removeAttribute("data-start");
    setTimeout(() => link.click(), 150);
  };

  // ---- cleanup: what is ticked, summed -----------------------------------------------------------

  const sizes = ["B", "kB", "MB", "GB", "TB", "PB"];
  const human = (bytes) => {
    let value = bytes;
    let unit = 0;
    while (value >= (unit === 0 ? 1024 : 999.5) && unit < sizes.length - 1) { value /= 1024; unit += 1; }
    return `${unit === 0 || value >= 10 ? value.toFixed(0) : value.toFixed(1)} ${sizes[unit]}`;
  };

  const sum = (form) => {
    const all = form.querySelector("input[data-all]:checked");
    const ticked = [...form.querySelectorAll("input[name=id]:checked")];
    const many = all ? Number(all.dataset.all) : ticked.length;
    const bytes = ticked.reduce((total, box) => total + Number(box.dataset.bytes || 0), 0);
    for (const place of form.querySelectorAll("[data-sum=count]")) place.textContent = many.toLocaleString("en");
    for (const place of form.querySelectorAll("[data-sum=bytes]")) place.textContent = human(bytes);
    for (const place of form.querySelectorAll("[data-sum=none]")) place.hidden = many > 0;
    for (const place of form.querySelectorAll("[data-sum=some]")) place.hidden = many === 0;
    for (const button of form.querySelectorAll("[data-sum=button]")) button.disabled = many === 0;
  };

  document.addEventListener("change", (event) => {
    const form = event.target.closest("form[data-sums]");
    if (!form) return;
    if (event.target.matches("[data-tick-all]")) {
      for (const box of form.querySelectorAll("input[name=id]")) box.checked = event.target.checked;
    }
    sum(form);
  });

  // ---- go to anything: "/" or Ctrl-K opens a dialog ------------------------------------------------

  const jump = document.getElementById("jump");

  const setUpJump = () => {
    const field = document.getElementById("jump-text");
    const list = document.getElementById("jump-list");
    const said = document.getElementById("jump-said");
    let asked = 0;
    let timer = 0;

    const options = () => [...list.querySelectorAll("[role=option]")];
    const chosen = () => list.querySelector("[aria-selected=true]");

    const choose = (option) => {
      for (const each of options()) each.setAttribute("aria-selected", String(each === option));
      if (option) {
        field.setAttribute("aria-activedescendant", option.id);
        option.scrollIntoView({ block: "nearest" });
      } else {
        field.removeAttribute("aria-activedescendant");
      }
    };

    const show = (html, text) => {
      list.innerHTML = html; // the studio's own, which escapes every name
      field.setAttribute("aria-expanded", String(options().length > 0));
      said.textContent = text;
      choose(options()[0]);
    };

    const ask = async () => {
      const mine = ++asked;
      const text = field.value.trim();
      if (!text) return show("", "");
      try {
        const query = new URLSearchParams({ q: text });
        const answer = await fetch(`${field.form.action}?${query}`, { headers: { "HX-Request": "true" } });
        const html = answer.ok ? await answer.text() : "";
        if (mine !== asked) return; // another answer is awaited by now
        show(html, "");
        const number = options().length;
        said.textContent = !answer.ok ? "The search failed. Press Enter to open its page."
          : number === 0 ? "Nothing has that name or id." : list.querySelector("[data-more]") ? `The first ${number}. Write more of the name for others.`
            : `${number} found`;
      } catch {
        if (mine === asked) show("", "The studio does not answer. Try again in a moment.");
      }
    };

    const open = () => {
      if (jump.open) return;
      jump.showModal();
      field.select();
      field.focus();
      ask();
    };

    const go = (option) => { location.href = option.dataset.href; };

    field.addEventListener("input", () => {
      clearTimeout(timer);
      timer = setTimeout(ask, 150);
    });
    field.addEventListener("keydown", (event) => {
      const all = options();
      const here = all.indexOf(chosen());
      if (event.key === "ArrowDown" || event.key === "ArrowUp") {
        event.preventDefault();
        if (!all.length) return;
        const step = event.key === "ArrowDown" ? 1 : -1;
        choose(all[(here + step + all.length) % all.length]);
      } else if (event.key === "Escape") {
        event.preventDefault(); // a search field would only empty itself
        jump.close();
      }
    });
    field.form.addEventListener("submit", (event) => {
      // What is listed may be the answer to what was typed before: then the page of the search answers.
      if (!chosen() || said.textContent === "") return;
      event.preventDefault();
      go(chosen());
    });
    list.addEventListener("click", (event) => {
      const option = event.target.closest("[role=option]");
      if (option) go(option);
    });
    jump.addEventListener("click", (event) => { if (event.target === jump) jump.close(); });
    field.addEventListener("input", () => { said.textContent = ""; });

    document.addEventListener("keydown", (event) => {
      const typing = event.target.closest?.("input, textarea, select, [contenteditable]");
      const slash = event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey;
      const k = event.key.toLowerCase() === "k" && (event.ctrlKey || event.metaKey) && !event.altKey && !event.shiftKey;
      if (!slash && !k) return;
      event.preventDefault();
      open();
    });
    document.addEventListener("click", (event) => {
      if (!event.target.closest("[data-jump]") || event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      open();
    });
  };

  if (jump) setUpJump();

  const ready = (root) => {
    reveal(root);
    start(root);
    for (const form of root.querySelectorAll("form[data-sums]")) sum(form);
  };
  document.addEventListener("DOMContentLoaded", () => {
    ready(document);
    // On a narrow screen the sections are one line: show the one that is open.
    document.querySelector(".top nav [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });
  });
  document.addEventListener("htmx:load", (event) => ready(event.target.parentElement || event.target));
})();
