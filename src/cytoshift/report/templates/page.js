"use strict";
for (const viewer of document.querySelectorAll("[data-viewer]")) {
  const range = viewer.querySelector("input[type=range]");
  if (!range) continue;
  const frames = [...viewer.querySelectorAll(".frame")];
  const words = viewer.querySelector("output");
  const show = () => {
    frames.forEach((frame, number) => { frame.hidden = number !== Number(range.value); });
    words.textContent = frames[Number(range.value)].dataset.words;
    range.setAttribute("aria-valuetext", words.textContent);
  };
  range.closest(".slide").hidden = false;
  range.addEventListener("input", show);
  show();
}
for (const button of document.querySelectorAll("[data-copy]")) {
  button.hidden = false;
  button.addEventListener("click", async () => {
    const text = document.getElementById(button.dataset.copy);
    try {
      await navigator.clipboard.writeText(text.textContent);
    } catch {
      getSelection().selectAllChildren(text);
      document.execCommand("copy");
    }
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  });
}
