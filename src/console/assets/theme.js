// Applies the theme that somebody chose before the page is drawn; without a choice, the system's is used.
try {
  const chosen = localStorage.getItem('weir-theme');
  if (chosen === 'light' || chosen === 'dark') document.documentElement.dataset.theme = chosen;
} catch { /* Storage may be forbidden. */ }
document.documentElement.classList.add('js');
