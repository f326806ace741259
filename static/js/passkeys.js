// Passkeys: a form marked data-passkey asks the browser for a passkey and submits the result.
// webauthnJSON is allauth's copy of github/webauthn-json.
"use strict";
(() => {
  const WORDS = {
    NotAllowedError: "No passkey was used: you cancelled, this device has no passkey for this site, or it took too long. Try again.",
    InvalidStateError: "That device or security key already has a passkey for your account.",
    SecurityError: "Your browser doesn't allow passkeys here: they require https.",
  };
  const ask = {
    create: (form, options) => {
      const passwordless = form.elements.passwordless.checked;
      const selection = options.publicKey.authenticatorSelection;
      selection.residentKey = passwordless ? "required" : "discouraged";
      selection.requireResidentKey = passwordless;
      if (passwordless) selection.userVerification = "required";
      return webauthnJSON.create(options);
    },
    get: (_form, options) => webauthnJSON.get(options),
    login: async (form) => {
      const answer = await fetch(form.action, { headers: { Accept: "application/json" } });
      if (!answer.ok) throw new Error(String(answer.status));
      return webauthnJSON.get((await answer.json()).request_options);
    },
  };
  for (const form of document.querySelectorAll("form[data-passkey]")) {
    const says = form.querySelector("[data-passkey-says]");
    const button = form.querySelector("button[type=submit]");
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      says.textContent = "";
      if (!webauthnJSON.supported()) {
        says.textContent = "This browser doesn't support passkeys, or doesn't allow them here: they require https.";
        return;
      }
      button.disabled = true;
      try {
        const credential = await ask[form.dataset.passkey](form, JSON.parse(form.dataset.options ?? "null"));
        form.elements.credential.value = JSON.stringify(credential);
        form.submit();
      } catch (error) {
        button.disabled = false;
        button.focus();
        says.textContent = WORDS[error.name] ?? "That didn't work, and nothing changed. Try again, or use another method.";
      }
    });
  }
})();
