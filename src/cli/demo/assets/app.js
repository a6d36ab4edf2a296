// Lists what the browser loaded, and when, in milliseconds since the navigation began.
addEventListener("load", () => {
  const table = document.getElementById("timing");
  for (const entry of performance.getEntriesByType("resource")) {
    const row = table.insertRow();
    row.insertCell().textContent = new URL(entry.name).pathname;
    row.insertCell().textContent = `${entry.startTime.toFixed(0)} to ${entry.responseEnd.toFixed(0)} ms`;
    row.insertCell().textContent = entry.initiatorType;
  }
});
