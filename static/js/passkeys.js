// Passkeys: a form marked data-passkey asks the browser for one, and goes on with what it says.
// webauthnJSON is allauth's copy of github/webauthn-json.
"use strict";
(() => {
  const WORDS = {
    NotAllowedError: "Nothing was done: you cancelled, there is no passkey for this site here, or it took too long. Try again.",
    InvalidStateError: "That device or security key holds a passkey of your account already.",
    SecurityError: "Your browser allows no passkeys at this address: they need https.",
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
        says.textContent = "This browser knows no passkeys, or not at this address: they need https.";
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
        says.textContent = WORDS[error.name] ?? "That did not work, and nothing was changed. Try again, or use another way.";
      }
    });
  }
})();
