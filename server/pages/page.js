// What a link of a mail leads to. The token stands in the fragment, which never leaves the browser but in the request below; nothing
// happens before somebody presses the button, because programs that check mails open links as well.
const MUTATIONS = {
  "verify-email": "mutation VerifyEmail($token: String!) { answer: verifyEmail(input: {token: $token}) { errors { message } } }",
  "reset-password":
    "mutation ResetPassword($token: String!, $password: String!) { answer: resetPassword(input: {token: $token, password: $password}) { errors { message } } }",
  "confirm-withdrawal":
    "mutation ConfirmWithdrawal($token: String!) { answer: confirmWithdrawal(input: {token: $token}) { errors { message } } }",
  freeze: "mutation Freeze($token: String!) { answer: freezeAccount(input: {token: $token}) { errors { message } } }",
};

const main = document.querySelector("main");
const form = document.getElementById("form");
const button = form.querySelector("button");
const answer = document.getElementById("answer");
const token = new URLSearchParams(location.hash.slice(1)).get("token");
history.replaceState(null, "", location.pathname);
addEventListener("hashchange", () => location.reload()); // another link, opened in the same tab

function tell(text, failed) {
  answer.textContent = text;
  answer.className = failed ? "failed" : "";
}

async function act() {
  const password = document.getElementById("password");
  const variables = password ? { token, password: password.value } : { token };
  const response = await fetch("/graphql", {
    method: "POST",
    credentials: "omit",
    headers: { "content-type": "application/json", "accept-language": document.documentElement.lang },
    body: JSON.stringify({ query: MUTATIONS[main.dataset.action], variables }),
  });
  const body = await response.json();
  const problems = [...(body.errors ?? []), ...(body.data?.answer?.errors ?? [])];
  if (problems.length) {
    tell(problems[0].message, true);
    return;
  }
  form.hidden = true;
  tell(answer.dataset.done, false);
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  button.disabled = true;
  try {
    await act();
  } catch {
    tell(answer.dataset.failed, true);
  } finally {
    button.disabled = false;
  }
});

if (!token) {
  form.hidden = true;
  tell(answer.dataset.noToken, true);
}
